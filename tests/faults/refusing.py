"""A database that refuses one row, as a project's own trigger may."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "taskworks_taskrun"
MAKE = {
    "postgresql": [
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.return_value LIKE '%%{text}%%' THEN RAISE 'this row is refused'; END IF;
            RETURN NEW;
        END $$""",
        f"CREATE TRIGGER refuse BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
    "mysql": [
        f"""CREATE TRIGGER refuse BEFORE UPDATE ON {TABLE} FOR EACH ROW
        IF NEW.return_value LIKE '%%{{text}}%%' THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this row is refused';
        END IF""",
    ],
    "sqlite": [
        f"""CREATE TRIGGER refuse BEFORE UPDATE ON {TABLE}
        WHEN NEW.return_value LIKE '%%{{text}}%%'
        BEGIN SELECT RAISE(ABORT, 'this row is refused'); END""",
    ],
}
UNMAKE = {
    "postgresql": [f"DROP TRIGGER refuse ON {TABLE}", "DROP FUNCTION refuse"],
    "mysql": ["DROP TRIGGER refuse"],
    "sqlite": ["DROP TRIGGER refuse"],
}


@contextmanager
def a_row_is_refused(connection: BaseDatabaseWrapper, text: str) -> Iterator[None]:
    """While this lasts, no row may be written whose return value has this text."""
    _execute(
        connection, [statement.replace("{text}", text) for statement in MAKE[connection.vendor]]
    )
    try:
        yield
    finally:
        _execute(connection, UNMAKE[connection.vendor])


def _execute(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.replace("%%", "%"))
