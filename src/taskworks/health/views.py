"""A view for load balancers and monitors."""

import threading
from collections.abc import Iterable

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from taskworks import real_time as time
from taskworks.backends.shards import databases
from taskworks.problems import RULES, look
from taskworks.store import store

ASKED = ("unmigrated", "queue_without_worker")  # what keeps runs from being executed
KEPT_FOR = 5.0  # seconds for which this process gives the same answer

OK, UNKNOWN, PROBLEM = SEVERITIES = ("ok", "unknown", "problem")
Answer = dict[str, str]  # by rule, and "database"
Answers = dict[str, Answer]  # by database

_lock = threading.Lock()
_answers: list[tuple[float, Answers]] = []  # the latest, and when they were made


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponseBase:
    """
    Answer 200 if the database can be reached, has all tables, and has a living worker for each
    queue with work; else 503. If there are several, this is so for each. With ``?verbose``, JSON
    says which of these it is. It names no queue and no host, so anybody may see it.

    Not for a liveness probe: to restart a web server does not help here.
    """
    answers = _latest()
    answer = _worst_of(answers.values())
    is_well = {*answer.values()} == {OK}
    status = 200 if is_well else 503
    if "verbose" in request.GET:
        each = {"databases": answers} if len(answers) > 1 else {}
        return JsonResponse({"healthy": is_well, "checks": answer, **each}, status=status)
    text = "healthy" if is_well else "not healthy"
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")


def _worst_of(answers: Iterable[Answer]) -> Answer:
    each = [*answers]
    return {name: max((one[name] for one in each), key=SEVERITIES.index) for name in each[0]}


def _latest() -> Answers:
    """Return the latest answer, which one thread makes at a time, however many ask."""
    # Who comes while another thread asks gets the one before, if there is one.
    if _is_due() and _lock.acquire(blocking=not _answers):
        try:
            if _is_due():
                answers = {alias: _asked(alias) for alias in databases()}
                _answers[:] = [(time.monotonic(), answers)]
        finally:
            _lock.release()
    return _answers[0][1]


def _is_due() -> bool:
    return not _answers or time.monotonic() - _answers[0][0] > KEPT_FOR


def _asked(alias: str) -> Answer:
    rules = [rule for rule in RULES if rule.id in ASKED]
    try:
        findings = look(store(alias), rules=rules)
    except DatabaseError:
        return {"database": PROBLEM, **dict.fromkeys(ASKED, UNKNOWN)}
    wrong = {problem.id for problem in findings.problems}
    unknown = {one.id for one in findings.unknown}
    if "unmigrated" in wrong:
        unknown |= {*ASKED} - {"unmigrated"}
    told = {
        name: PROBLEM if name in wrong else UNKNOWN if name in unknown else OK for name in ASKED
    }
    return {"database": OK, **told}
