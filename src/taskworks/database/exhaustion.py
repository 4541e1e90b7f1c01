"""Whether a connection could not be opened because there was none left."""

from django.db import OperationalError

# PostgreSQL refuses a connection without a code that a driver passes on, and PgBouncer too.
POSTGRESQL_CODE = "53300"
POSTGRESQL_TEXTS = (
    "sorry, too many clients already",
    "remaining connection slots are reserved",
    "too many connections for role",
    "too many connections for database",
    "no more connections allowed",
)
# By their codes: the server has none left; the user has none, by the server's limit or its own.
MYSQL_TEXTS = {1040: "", 1203: "", 1226: "max_user_connections"}
POOL_ERRORS = ("PoolTimeout", "TooManyRequests")  # of psycopg_pool, which need not be installed


class NoPlaceLeftError(OperationalError):
    """As many coroutine functions as may do so hold database connections, and none lets go."""


def has_no_connection_left(error: BaseException) -> bool:
    """
    Return whether the error says that the server, or the pool of this process, had no connection
    left; of a group, whether all of its errors do. Whatever the error is, do not raise.
    """
    try:
        if isinstance(error, BaseExceptionGroup):
            return all(has_no_connection_left(member) for member in error.exceptions)
        return isinstance(error, OperationalError) and _had_none_left(error)
    except BaseException:  # noqa: BLE001 - an exception's class may do anything when asked
        return False


def _had_none_left(error: OperationalError) -> bool:
    return (
        isinstance(error, NoPlaceLeftError)
        or _is_postgresqls(error)
        or _is_mysqls(error)
        or type(error.__cause__).__name__ in POOL_ERRORS
    )


def _is_postgresqls(error: OperationalError) -> bool:
    code, text = getattr(error.__cause__, "sqlstate", None), str(error)
    return code == POSTGRESQL_CODE or any(known in text for known in POSTGRESQL_TEXTS)


def _is_mysqls(error: OperationalError) -> bool:
    match error.args:
        case (int(code), str(text), *_):
            return code in MYSQL_TEXTS and MYSQL_TEXTS[code] in text
        case _:
            return False
