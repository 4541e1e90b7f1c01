"""sisy's shortcuts that make and save a schedule, as its class has them."""

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import router, transaction
from django.dispatch import Signal
from django.utils import timezone

from taskworks.timetables import arguments
from taskworks.timetables.callables import (
    CLASS_METHOD,
    METHOD,
    STATIC_METHOD,
    Described,
    instance_key,
)

# Of a saved schedule that is to be fired here and now. A signal, because who fires is above models.
wanted_at_once = Signal()

EVERY_SECOND = "* * * * * *"
# How sisy calls the kinds.
FUNC_TYPES = {
    CLASS_METHOD: "classmethod",
    METHOD: "instancemethod",
    STATIC_METHOD: "staticmethod",
}


class SisySchedule:
    """What a schedule's class has of sisy's."""

    described: Any
    save: Any

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
        Run a callable so many times by a schedule, not before ``delay_until``; the first time at
        once with ``run_immediately``. Return the saved row, which is disabled when it is done.

        ``more`` is what ``task_with_callable`` takes beside. Raise ValueError, naming what is
        wrong, before anything is written.
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
        alias = router.db_for_write(type(made))
        with transaction.atomic(using=alias):
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
        timing = arguments.when(arguments.default_schedule() if schedule is None else schedule)
        columns = arguments.columns({"userdata": {} if userdata is None else userdata, **more})
        made: Any = cls(**timing, **columns)
        made.describe(the_callable, pk_override)
        made.label = arguments.label_of(made.path) if label is None else label
        return made  # type: ignore[no-any-return]

    @property
    def funcinfo(self) -> dict[str, Any]:
        """What is stored of its callable, in sisy's words; see ``taskinfo_with_label``."""
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
