"""What Celery's tests mean by its names: those of ``taskworks.celery`` if that has them."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

# Of these modules. What tests take from others is Celery's own.
DRESSED = ("", ".exceptions", ".result")
# Its subclasses are in the modules of the tests, and are refused where a task has one as its base.
OF_CELERY = ("Task",)


class _Dressed(ModuleType):
    def __init__(self, ours: str, theirs: str) -> None:
        super().__init__(ours)
        self._ours, self._theirs = import_module(f"taskworks.{theirs}"), import_module(theirs)

    def __getattr__(self, name: str) -> Any:
        if name in OF_CELERY:
            return getattr(self._theirs, name)
        if name == "shared_task":
            from tests.conformance.celery.dressed_app import DressedApp

            return DressedApp().task
        return vars(self._ours).get(name) or getattr(self._theirs, name)


def install() -> dict[str, str]:
    """Make the modules importable; return their names by those that they stand for."""
    names = {}
    for suffix in DRESSED:
        theirs = f"celery{suffix}"
        ours = f"celery_of_the_tests{suffix.replace('.', '_')}"
        sys.modules[ours] = _Dressed(ours, theirs)
        names[theirs] = ours
    return names
