"""Which of Celery's own tests pass here, and why the others do not speak of what is carried."""

import os
import re
from collections import Counter

import pytest

from tests.conformance.celery.suite import outcomes
from tests.conformance.sdist import SdistUnavailableError

pytestmark = pytest.mark.any_database

PASSED = 78
# Of the others: what they need that is not carried, by a pattern of their name and their failure.
REASONS = {
    "classes of tasks, base=": r"option base=|class_based_task|test_regular_task|v2_compat|no_fmt",
    "retry() with other arguments, or with throw=False": r"of retry\(\) is not carried",
    "replace()": r"test_(on_)?replace",
    "requests that are pushed, and the inside of Celery's requests": (
        r"push_request|request_stack|timelimit|time_limit_sets|test_retry_priority|parent"
    ),
    "the result backend, forget(), and the cache of results": (
        r"\.test_AsyncResult|'backend'|as_tuple|_cache|remove_pending|forget|backend=<Mock|store_eager|"
        r"respects_ignore_result"
    ),
    "children of results, iterdeps, graph": r"test_children|iterdeps",
    "ids that nobody knows: get() raises": r"TaskResultDoesNotExist",
    "an app with settings, that sends messages": (
        r"App\.send_task|no attribute '(amqp|timezone|Celery|app|annotate|_get_current_object)'"
        r"|eager_propagates|has no attribute 'time_limit'|typing__disabled"
    ),
    "patches or attributes of the inside of Celery": (
        r"sync_subtask_option|timeout_longer|compat_properties|ignored|remote_tracebacks"
        r"|tuple\.index"
    ),
    "other words of an error, or another exception": r"soft_time_limit_failure|unpickleable",
    "a negative retry_backoff, which is refused": r"retry_backoff of the task .* not -1|\[-1-",
}


@pytest.mark.timeout(600)  # The first run downloads Celery.
def test_celery_suite() -> None:
    pytest.importorskip("celery")
    try:
        found = outcomes()
    except SdistUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"CELERY'S TESTS WERE NOT RUN. {error}")
    others = {name: outcome for name, outcome in found.items() if outcome != "passed"}
    because = {name: _reason(f"{name}: {outcome}") for name, outcome in others.items()}
    unexplained = {name: others[name] for name, reason in because.items() if reason is None}
    assert not unexplained
    assert {*because.values()} == {*REASONS}
    assert len(found) - len(others) == PASSED, Counter(because.values())


def _reason(text: str) -> str | None:
    return next((reason for reason, known in REASONS.items() if re.search(known, text)), None)
