"""The wire counts statements, whatever the driver."""

import pytest
from django.conf import settings
from django.db import connections

from benchmarks.wire import counted

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.skipif(settings.DATABASE == "sqlite", reason="SQLite has no server")
def test_statements_are_counted() -> None:
    entry = connections["default"].settings_dict
    store = "postgresql" if settings.DATABASE == "postgresql" else "mariadb"
    with counted(store, entry["HOST"], int(entry["PORT"])) as wire:
        through = connections["default"].copy()
        through.settings_dict = {**entry, "HOST": "127.0.0.1", "PORT": str(wire.port)}
        through.connect()
        before = wire.statements
        with through.cursor() as cursor:
            for number in range(3):
                cursor.execute("SELECT %s", [number])
                assert cursor.fetchone() == (number,)
        assert wire.statements - before == 3
        through.close()
