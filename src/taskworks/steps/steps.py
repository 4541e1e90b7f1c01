"""
``Steps``: what a task has done in this run, and what it waits for.

A step, a sleep and a wait are each written once, as a generator that yields what it needs and gets
the answer. One method follows it in a function, another in a coroutine function.
"""

import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from taskworks import jsonvalue
from taskworks.conf import conf
from taskworks.database.clock import as_aware, later
from taskworks.database.transactions import refuse_inside_transaction
from taskworks.durations import MAX_DELAY, seconds
from taskworks.exceptions import InvalidStepValue, TaskSuspended
from taskworks.steps.asking import Asking, Recorder
from taskworks.steps.names import validate_step_name
from taskworks.steps.refusals import (
    refuse_awaitable,
    refuse_coroutine_function,
    refuse_on_event_loop,
)
from taskworks.steps.requests import (
    AwaitEvent,
    History,
    ReadHistory,
    Record,
    Recorded,
    RecordKind,
    Request,
    Sent,
    TimeOut,
)

MAX_STEPS = 10_000  # steps, sleeps and events of a run: each attempt reads them all

Duration = float | timedelta


@dataclass(frozen=True, slots=True)
class _Call:
    """Call the function of the step."""


@dataclass(frozen=True, slots=True)
class _Suspend:
    """End the attempt until a sleep is over, or an event was sent."""


@dataclass(frozen=True, slots=True)
class _Returned:
    value: Any


_Course = Generator[Request | _Call | _Suspend, Any, Any]


class Steps:
    """
    The steps of an attempt. Without a recorder, as in a backend that stores no runs, steps are
    executed and not recorded, and there is no sleep and no wait.
    """

    def __init__(self, recorder: Recorder | None = None) -> None:
        self._asking, self._recorder = Asking(recorder), recorder
        self._lock = threading.Lock()
        self._taken: set[str] = set()  # names in this attempt
        self._new = 0  # rows that this attempt has added
        self._seen: set[str] = set()  # events that have ended since, as this attempt knows
        self._due: dict[str, datetime | None] = {}  # of sleeps and waits that are not over
        self._open: set[str] = set()  # events that this attempt waits for

    # Called by the task.

    def step(
        self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, *, atomic: bool
    ) -> Any:
        """Return the value of a step, which is executed unless it was before."""
        refuse_coroutine_function(name, function)
        self._refuse_transactions(f"step({name!r})")

        def call() -> Any:
            return self._returned(name, function(*args, **kwargs))

        if atomic:
            return self._follow(name, self._atomic_course(name), lambda: self._atomically(call))
        return self._follow(name, self._step_course(name), call)

    async def astep(
        self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, *, atomic: bool
    ) -> Any:
        """See step()."""
        self._refuse_transactional_task(f"astep({name!r})")
        if atomic:
            refuse_coroutine_function(name, function, atomic=True)

            def call() -> Any:
                return self._returned(name, function(*args, **kwargs))

            async def acall() -> Any:
                return await sync_to_async(self._atomically)(call)

            return await self._afollow(name, self._atomic_course(name), acall)

        async def awaited() -> Any:
            return self._returned(name, await _acalled(function, args, kwargs))

        return await self._afollow(name, self._step_course(name), awaited)

    def sleep(self, name: str, duration: Duration) -> None:
        """End the attempt until the sleep is over."""
        self._demand_store(f"sleep({name!r})")
        self._refuse_transactions(f"sleep({name!r})")
        self._follow(name, self._sleep_course(name, seconds(duration, "duration")))

    async def asleep(self, name: str, duration: Duration) -> None:
        """See sleep()."""
        self._demand_store(f"asleep({name!r})")
        self._refuse_transactional_task(f"asleep({name!r})")
        await self._afollow(name, self._sleep_course(name, seconds(duration, "duration")))

    def wait(self, name: str, timeout: Duration | None) -> Sent | None:
        """End the attempt until the event was sent or the timeout is over; then return which."""
        self._demand_store(f"wait({name!r})")
        self._refuse_transactions(f"wait({name!r})")
        sent: Sent | None = self._follow(name, self._wait_course(name, _limit(timeout)))
        return sent

    async def await_(self, name: str, timeout: Duration | None) -> Sent | None:
        """See wait()."""
        self._demand_store(f"await_({name!r})")
        self._refuse_transactional_task(f"await_({name!r})")
        sent: Sent | None = await self._afollow(name, self._wait_course(name, _limit(timeout)))
        return sent

    # How each of them goes.

    def _step_course(self, name: str) -> _Course:
        if record := self._known(name, RecordKind.STEP, (yield ReadHistory())):
            return jsonvalue.copied(record.value)
        self._demand_room(name)
        value, record_of_it = yield _Call()
        yield record_of_it
        return value

    def _atomic_course(self, name: str) -> _Course:
        if record := self._known(name, RecordKind.STEP, (yield ReadHistory())):
            return jsonvalue.copied(record.value)
        self._demand_room(name)
        return (yield _Call())

    def _sleep_course(self, name: str, length: float) -> _Course:
        record = self._known(name, RecordKind.SLEEP, (yield ReadHistory()))
        if record:
            over = record.ended_at
        else:
            self._demand_room(name)
            over = later(self._now(), timedelta(seconds=length))
            self._due[name] = over
            yield Record(RecordKind.SLEEP, name, None, over)
        if not self._is_over(over):
            self._due[name] = over
            yield _Suspend()
        self._due.pop(name, None)
        return None

    def _wait_course(self, name: str, limit: float | None) -> _Course:
        history: History = yield ReadHistory()
        event = history.events.get(name)
        if event is None or not event.has_ended:
            if event is None:
                self._demand_room(name)
            until = None if limit is None else later(self._now(), timedelta(seconds=limit))
            self._open.add(name)
            self._due[name] = event.until if event else until
            event = yield AwaitEvent(name, until, event is not None)
        if not event.has_ended and self._is_over(event.until):
            event = yield TimeOut(name, self._now())
        if not event.has_ended:
            self._due[name] = event.until
            yield _Suspend()
        self._note_end(name)
        return Sent(jsonvalue.copied(event.value)) if event.is_sent else None

    def _note_end(self, name: str) -> None:
        self._seen.add(name)
        self._open.discard(name)
        self._due.pop(name, None)

    # Follow one of them.

    def _follow(self, name: str, course: _Course, call: Callable[[], Any] | None = None) -> Any:
        with self._taking(name):
            turn = _next(course)
            while not isinstance(turn, _Returned):
                answer: Any = None
                match turn:
                    case _Call():
                        assert call is not None, "it is a step"  # noqa: S101
                        answer = call()
                    case _Suspend():
                        raise self._suspended()
                    case ReadHistory():
                        answer = self._asking.read()
                    case request:
                        answer = self._asking.ask(request)
                turn = _next(course, answer)
            return turn.value

    async def _afollow(
        self, name: str, course: _Course, call: Callable[[], Awaitable[Any]] | None = None
    ) -> Any:
        with self._taking(name):
            turn = _next(course)
            while not isinstance(turn, _Returned):
                answer: Any = None
                match turn:
                    case _Call():
                        assert call is not None, "it is a step"  # noqa: S101
                        answer = await call()
                    case _Suspend():
                        await self._asking.land()  # for the end of the first of all sleeps
                        raise self._suspended()
                    case ReadHistory():
                        answer = await self._asking.aread()
                    case request:
                        answer = await self._asking.aask(request)
                turn = _next(course, answer)
            return turn.value

    @contextmanager
    def _taking(self, name: str) -> Iterator[None]:
        """Use a name, which is free again if that fails: nothing is recorded of it then."""
        validate_step_name(name)
        with self._lock:
            if self._asking.lost:
                raise self._asking.lost
            if name in self._taken:
                raise ValueError(
                    f"The name {name!r} is used twice in one attempt. Give each step, sleep and "
                    "wait a name of its own, in a loop for example f'page {n}'."
                )
            self._taken.add(name)
        try:
            yield
        except BaseException:
            self._taken.discard(name)
            raise

    def _atomically(self, call: Callable[[], tuple[Any, Record]]) -> Any:
        if self._recorder is None:
            with transaction.atomic():
                value, _ = call()
            return value
        with self._asking.noting_loss():
            return self._recorder.atomically(call)

    # Times.

    def _now(self) -> datetime:
        assert self._recorder is not None, "there is a store"  # noqa: S101
        return self._recorder.now()

    def _is_over(self, moment: datetime | None) -> bool:
        return moment is not None and as_aware(moment) <= as_aware(self._now())

    def _suspended(self) -> TaskSuspended:
        now = as_aware(self._now())
        left = [(as_aware(due) - now).total_seconds() for due in self._due.values() if due]
        after = max(0.0, min([*left, MAX_DELAY]))
        return TaskSuspended(after, self._known_ends() if self._open else None)

    def _known_ends(self) -> frozenset[str]:
        """Return the events of which the task knows that they have ended."""
        events = self._asking.read().events
        return frozenset(self._seen).union(n for n, event in events.items() if event.has_ended)

    # Refuse.

    def _known(self, name: str, kind: RecordKind, history: History) -> Recorded | None:
        """Return the record with this name, if there is one."""
        record = history.records.get(name)
        if record and record.kind != kind:
            raise ValueError(
                f"An earlier attempt has recorded {name!r} as a {record.kind}, and now it is a "
                f"{kind}. Give what is new in the code another name."
            )
        return record

    def _demand_room(self, name: str) -> None:
        """Raise ValueError if the run has too many steps, before one more is executed."""
        history = self._asking.read()
        if len(history.records) + len(history.events) + self._new >= MAX_STEPS:
            raise ValueError(
                f"A run has at most {MAX_STEPS:,} steps, sleeps and events, because each attempt "
                f"reads them, and {name!r} is one more. Let a step do more, or enqueue a task for "
                "each part."
            )
        self._new += 1

    def _demand_store(self, what: str) -> None:
        if self._recorder is None:
            raise NotImplementedError(
                f"{what} needs a backend that stores runs: here nobody could execute the run again "
                "later. In tests, use the DatabaseBackend with run_tasks() and a clock that can be "
                "moved."
            )

    def _refuse_transactional_task(self, what: str) -> None:
        if self._recorder and self._recorder.is_transactional:
            raise RuntimeError(
                f"{what} cannot be used in a task with transactional=True, which writes everything "
                "in one transaction with its end, or nothing: what it has done is never skipped. "
                "Leave transactional=True out, and give the steps that write atomic=True."
            )

    def _refuse_transactions(self, what: str) -> None:
        refuse_on_event_loop(what)
        self._refuse_transactional_task(what)
        if self._recorder:
            refuse_inside_transaction(
                what,
                "if that is rolled back, the record stays. Use it outside; "
                "step(..., atomic=True) has a transaction of its own.",
            )

    def _returned(self, name: str, returned: Any) -> tuple[Any, Record | None]:
        """Return the value of a step as it will be read back, and its record."""
        refuse_awaitable(name, returned)
        try:
            text = jsonvalue.stored_text(returned, f"the value of step {name!r}", _max_size())
        except Exception as error:
            raise InvalidStepValue(
                f"The step {name!r} was executed, but its value cannot be recorded: {error} The "
                "run is not attempted again, because that would execute the step again."
            ) from error
        if self._recorder is None:
            return jsonvalue.decode(text), None
        return jsonvalue.decode(text), Record(RecordKind.STEP, name, text, self._now())


def _next(course: _Course, answer: Any = None) -> Any:
    try:
        return course.send(answer)
    except StopIteration as end:
        return _Returned(end.value)


async def _acalled(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if iscoroutinefunction(function):
        return await function(*args, **kwargs)
    returned = await sync_to_async(function)(*args, **kwargs)
    return await returned if isawaitable(returned) else returned


def _max_size() -> int:
    return conf().max_json_size


def _limit(timeout: Duration | None) -> float | None:
    return None if timeout is None else seconds(timeout, "timeout")
