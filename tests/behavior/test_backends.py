"""The backends of the TASKS setting, and their system checks."""

from typing import Any

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from taskworks import default_task_backend, task_backends
from taskworks.exceptions import InvalidTaskBackend
from taskworks.framework import BaseTaskBackend
from tests import tasks
from tests.behavior import DATABASE_BACKEND, Settings, backend_class


class WithoutEnqueue(BaseTaskBackend):
    """A backend that lacks the one method it must have."""


def use(settings: Settings, backend: str, **params: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": backend, **params}}


def test_the_default_backend_is_the_one_called_default() -> None:
    assert default_task_backend == task_backends["default"]
    assert type(task_backends["default"]) is backend_class()


def test_a_backend_knows_its_alias_and_its_queues() -> None:
    assert task_backends["default"].alias == "default"
    assert task_backends["default"].queues == {"default", "mail", "imports"}
    assert task_backends["other"].alias == "other"


def test_a_backend_keeps_its_options(settings: Settings) -> None:
    use(settings, DATABASE_BACKEND, OPTIONS={"prefix": "x"})
    assert task_backends["default"].options == {"prefix": "x"}


def test_a_task_finds_its_backend() -> None:
    assert tasks.noop.get_backend() is task_backends["default"]
    assert tasks.noop.using(backend="other").get_backend() is task_backends["other"]


def test_what_the_database_backend_supports() -> None:
    backend = task_backends["default"]
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority


@pytest.mark.parametrize(
    "use_it", [task_backends.__getitem__, lambda x: tasks.noop.using(backend=x)]
)
def test_an_unknown_alias_is_refused(use_it: Any) -> None:
    with pytest.raises(InvalidTaskBackend, match=r"^The connection 'x' doesn't exist.$"):
        use_it("x")


def test_a_path_to_no_backend_is_refused(settings: Settings) -> None:
    use(settings, "does.not.exist")
    with pytest.raises(
        InvalidTaskBackend,
        match=r"^Could not find backend 'does.not.exist': No module named 'does'$",
    ):
        task_backends["default"]


def test_without_backends_there_is_no_default(settings: Settings) -> None:
    settings.TASKS = {}
    with pytest.raises(InvalidTaskBackend, match=r"'default' doesn't exist"):
        task_backends["default"]
    with pytest.raises(ImproperlyConfigured):
        tasks.noop.enqueue()


def test_a_backend_without_enqueue_cannot_be_made(settings: Settings) -> None:
    use(settings, f"{__name__}.WithoutEnqueue")
    with pytest.raises(TypeError, match=r"abstract.*enqueue"):
        task_backends["default"]


def test_a_changed_setting_takes_effect_at_once(settings: Settings) -> None:
    before = task_backends["default"]
    use(settings, "taskworks.backends.dummy.DummyBackend")
    tasks.noop.enqueue()
    assert len(default_task_backend.results) == 1
    assert task_backends["default"] is not before


class TestChecks:
    def found(self, alias: str = "default") -> list[checks.CheckMessage]:
        return list(task_backends[alias].check())

    def test_a_good_project_is_told_nothing(self) -> None:
        assert self.found() == []

    def test_an_app_that_is_not_installed_is_one_error_with_a_hint(
        self, settings: Settings
    ) -> None:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "taskworks"]
        [error] = self.found("other")
        assert error.id == "taskworks.E001"
        assert error.level == checks.ERROR
        assert "'other'" in error.msg
        assert "Add 'taskworks' to INSTALLED_APPS" in error.hint

    def test_the_check_command_says_it_too(self, settings: Settings) -> None:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "taskworks"]
        found = {message.msg for message in checks.run_checks() if message.id == "taskworks.E001"}
        assert len(found) == 2  # one a DatabaseBackend

    def test_another_kind_of_database_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(connection._connections["default"]), "vendor", "oracle")
        [error] = self.found()
        assert error.id == "taskworks.E002"
        assert "oracle" in error.msg
        assert "Route the app 'taskworks'" in error.hint

    @pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's own check")
    def test_an_old_sqlite_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))
        [error] = self.found()
        assert error.id == "taskworks.E003"
        assert "3.35" in error.hint

    @pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's own check")
    def test_deferred_transactions_of_sqlite_are_a_warning(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "transaction_mode", "DEFERRED")
        [warning] = self.found()
        assert (warning.id, warning.level) == ("taskworks.W001", checks.WARNING)
        assert "'transaction_mode'" in warning.hint

    @pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's own check")
    @pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
    def test_another_isolation_level_of_postgresql_is_a_warning(
        self, monkeypatch: pytest.MonkeyPatch, level: str
    ) -> None:
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        options = connection.settings_dict["OPTIONS"]
        monkeypatch.setitem(options, "isolation_level", IsolationLevel[level])
        [warning] = self.found()
        assert (warning.id, warning.level) == ("taskworks.W004", checks.WARNING)
        assert level.replace("_", " ") in warning.msg
        monkeypatch.setitem(options, "isolation_level", IsolationLevel.READ_COMMITTED)
        assert self.found() == []

    @pytest.mark.skipif("connection.vendor != 'mysql'", reason="MySQL's and MariaDB's own check")
    @pytest.mark.parametrize("level", ["REPEATABLE READ", "serializable", None])
    def test_another_isolation_level_of_mysql_is_a_warning(
        self, monkeypatch: pytest.MonkeyPatch, level: str | None
    ) -> None:
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", level)
        [warning] = self.found()
        assert (warning.id, warning.level) == ("taskworks.W003", checks.WARNING)
        assert repr(level) in warning.msg
        assert "'read committed'" in warning.hint

    @pytest.mark.skipif("connection.vendor != 'mysql'", reason="MySQL's and MariaDB's own check")
    def test_djangos_isolation_level_of_mysql_is_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(
            connection.settings_dict["OPTIONS"], "isolation_level", "READ COMMITTED"
        )
        assert self.found() == []

    def test_what_is_no_database_backend_is_not_checked(self) -> None:
        assert self.found("immediate") == []
        assert self.found("dummy") == []
