"""What is wrong with the option is said by ``manage.py check``."""

from typing import Any

import pytest
from django.core import checks

from taskworks.checks import check_backends
from tests.behavior import DATABASE_BACKEND
from tests.shards.backends import SHARD, SHARDED

pytestmark = pytest.mark.any_database


def found(settings: Any, database: Any) -> list[tuple[str, str]]:
    entry = {"BACKEND": DATABASE_BACKEND, "OPTIONS": {"DATABASE": database}}
    settings.TASKS = {**SHARDED, "bulk": entry}
    told = [one for one in check_backends() if one.level >= checks.WARNING]
    return [(str(one.id), one.msg) for one in told if "'more'" not in one.msg]


def test_good_ones(settings: Any) -> None:
    assert found(settings, SHARD) == found(settings, "default") == []


@pytest.mark.parametrize("bad", ["quue", "", 5, ["queue"], True])
def test_a_database_that_is_not_there(settings: Any, bad: Any) -> None:
    [(code, said)] = found(settings, bad)
    assert code == "taskworks.E011"
    assert f"TASKS['bulk']['OPTIONS']['DATABASE'] is {bad!r}, but DATABASES has no such" in said


class KeepsOut:
    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db != SHARD if app_label == "taskworks" else None


def test_a_router_that_keeps_the_tables_out(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.KeepsOut"]
    [(code, said)] = found(settings, SHARD)
    assert code == "taskworks.E012"
    assert "routers keep the tables of Taskworks out of that database" in said
