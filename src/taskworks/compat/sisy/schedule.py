"""sisy's methods and properties of a schedule."""

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.dispatch import Signal
from django.utils import timezone

from taskworks.compat.sisy.arguments import default_schedule, overlap_of
from taskworks.database.transactions import writing
from taskworks.timetables import arguments
from taskworks.timetables.callables import (
    CLASS_METHOD,
    METHOD,
    STATIC_METHOD,
    Described,
    instance_key,
)

# Sent with a saved schedule that is to be fired here and now. It is a signal because models, which
# inherit these methods, must not import what fires.
wanted_at_once = Signal()

EVERY_SECOND = "* * * * * *"
# The kinds that have another name in sisy.
FUNC_TYPES = {
    CLASS_METHOD: "classmethod",
    METHOD: "instancemethod",
    STATIC_METHOD: "staticmethod",
}


class SisySchedule:
    """Mixed into ``Schedule``."""

    described: Any
    cron: Any
    interval: Any
    overlap: Any

    @classmethod
    def run_iterations(  # noqa: PLR0917 - as sisy has it
        cls,
        the_callable: Any,
        iterations: int = 1,
        label: str | None = None,
        schedule: Any = EVERY_SECOND,
        userdata: dict[str, Any] | None = None,
        run_immediately: bool = False,
        delay_until: datetime | None = None,
        **more: Any,
    ) -> Self:
        """
        Run a callable ``iterations`` times by a schedule, not before ``delay_until``; the first
        time at once with ``run_immediately``. Return the saved row, which is disabled when done.

        ``more`` is what else ``task_with_callable`` takes. Raise ValueError before anything is
        written.
        """
        if delay_until is not None:
            more = {**more, "start_running": _in_the_future(delay_until)}
        made: Any = cls.with_callable(
            the_callable,
            label,
            schedule,
            userdata,
            iterations=iterations,
            **{"wait_for_schedule": not run_immediately, **more},
        )
        alias = made.database
        with writing(alias):
            made.save()
            if run_immediately:
                wanted_at_once.send(cls, schedule=made, using=alias)
        return made  # type: ignore[no-any-return]

    @classmethod
    def run_once(
        cls,
        the_callable: Any,
        userdata: dict[str, Any] | None = None,
        delay_until: datetime | None = None,
        **more: Any,
    ) -> Self:
        """Run a callable once, at once or at ``delay_until``; see run_iterations()."""
        return cls.run_iterations(
            the_callable,
            1,
            userdata=userdata,
            run_immediately=True,
            delay_until=delay_until,
            **more,
        )

    @classmethod
    def with_callable(
        cls,
        the_callable: Any,
        label: str | None = None,
        schedule: Any = None,
        userdata: dict[str, Any] | None = None,
        pk_override: Any = None,
        **more: Any,
    ) -> Self:
        """See ``task_with_callable``."""
        timing = arguments.when(default_schedule() if schedule is None else schedule)
        columns = arguments.columns({"userdata": {} if userdata is None else userdata, **more})
        made: Any = cls(**timing, **columns)
        made.describe(the_callable, pk_override)
        made.label = arguments.label_of(made.path) if label is None else label
        return made  # type: ignore[no-any-return]

    @property
    def funcinfo(self) -> dict[str, Any]:
        """What is stored of its callable, under sisy's keys; see ``taskinfo_with_label``."""
        described: Described = self.described
        owner, _, name = described.path.rpartition(".")
        info = {
            "func_type": FUNC_TYPES.get(described.kind, described.kind),
            "func_name": name,
            "func_path": described.path,
            "module_name": owner,
        }
        if described.kind in FUNC_TYPES:
            module, _, class_name = owner.rpartition(".")
            info |= {"module_name": module, "class_path": owner, "class_name": class_name}
        if described.kind == METHOD:
            info["model_pk"] = instance_key(described)
        return info

    @property
    def allow_overlap(self) -> bool:
        """True if ``overlap`` is "run"; setting it chooses "run" or "skip"."""
        return bool(self.overlap == overlap_of(allow_overlap=True))

    @allow_overlap.setter
    def allow_overlap(self, allowed: bool) -> None:
        self.overlap = overlap_of(bool(allowed))

    @property
    def schedule(self) -> str:
        """The cron expression."""
        expression: str = self.cron
        return expression

    @schedule.setter
    def schedule(self, expression: str) -> None:
        self.cron, self.interval = expression, None


def _in_the_future(delay_until: Any) -> datetime:
    if not isinstance(delay_until, datetime):
        raise ValueError(f"delay_until must be a datetime.datetime instance, not {delay_until!r}.")
    if timezone.is_aware(delay_until) != settings.USE_TZ:
        raise ValueError(
            f"delay_until must be {'an aware' if settings.USE_TZ else 'a naive'} datetime, as "
            f"USE_TZ is {settings.USE_TZ}, and {delay_until!r} is not."
        )
    if delay_until < timezone.now():
        raise ValueError(f"Task cannot start running in the past: {delay_until.isoformat()}.")
    return delay_until
