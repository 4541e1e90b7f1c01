"""
Errors of a database that are not Django's: a token provider that does not answer when a connection
is opened, or an engine's own pool that has none left. They are outages like all others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error as DatabaseError
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseErrorWrapper

# What a driver raises for a value that it cannot send, which is about the value.
VALUE_ERRORS = (ArithmeticError, TypeError, ValueError)


class ForeignErrorWrapper(DatabaseErrorWrapper):
    """
    Raises the errors of opening or using a connection as Django's, as every connection does, and
    those that Django does not know as OperationalError.
    """

    wrapper: BaseDatabaseWrapper

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        if isinstance(error, Exception) and self._is_foreign(error):
            self.wrapper.errors_occurred = True
            raise OperationalError(f"{type(error).__name__}: {error}") from error

    def _is_foreign(self, error: Exception) -> bool:
        if isinstance(error, (DatabaseError, SynchronousOnlyOperation)):
            return False
        is_opening = self.wrapper.connection is None
        return is_opening or not isinstance(error, VALUE_ERRORS)


@contextmanager
def foreign_errors_as_database_errors(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Do within the block as ForeignErrorWrapper does, on a connection that tasks may use too."""
    usual = connection.wrap_database_errors
    connection.wrap_database_errors = ForeignErrorWrapper(connection)
    try:
        yield
    finally:
        connection.wrap_database_errors = usual
