"""What an error tells of the database: whether it has answered, or has given up."""

import sqlite3
from enum import Enum

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

from taskworks.database.time_limit import is_time_limit

# PostgreSQL's codes: of connections, of a server that ends or starts, of a session that it ends.
OF_CONNECTIONS = "08"  # a class of codes
ENDED_BY_POSTGRESQL = ("57P01", "57P02", "57P03", "57P05", "25P03", "53300")
# MySQL's and MariaDB's: those of the client, and with which a server refuses or ends a session.
OF_THE_CLIENT = range(2000, 3000)
ENDED_BY_MYSQL = {1040, 1042, 1043, 1044, 1045, 1049, 1053, 1129, 1130, 1203, 1226, 1927, 4031}
ENDED_BY_MYSQL |= {*range(1152, 1162), 1184}  # packets that were cut off
# SQLite's primary codes.
SQLITE_BUSY, SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_NOTADB = 5, 10, 14, 26
# Of a lock that another session has held for too long.
LOCK_NOT_AVAILABLE, LOCK_WAIT_TIMEOUT = "55P03", 1205


class Fault(Enum):
    """What is wrong with a database that has not done what it was asked."""

    SILENT = "cannot be reached"
    LATE = "has given up a statement"
    FAILED = "has failed"  # an answer, and an error like all others


def fault_of(error: DatabaseError) -> Fault:
    """Return what the error tells of its database."""
    if _has_given_up(error):
        return Fault.LATE
    return Fault.FAILED if _has_answered(error) else Fault.SILENT


def said_of(alias: str, error: DatabaseError) -> str:
    """Return a sentence for people at a terminal: which database, what is wrong, and its words."""
    return f"The database {alias!r} {fault_of(error).value}: {str(error).strip()}"


def _has_answered(error: DatabaseError) -> bool:
    """Return whether the error is the answer of a database, and not that there is none."""
    if not isinstance(error, OperationalError | InterfaceError):
        return True
    match _code(error):
        case str(code):
            return not code.startswith(OF_CONNECTIONS) and code not in ENDED_BY_POSTGRESQL
        case int(code) if isinstance(error.__cause__, sqlite3.Error):
            return code not in (SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_NOTADB)
        case int(code):
            return code >= 1000 and code not in OF_THE_CLIENT and code not in ENDED_BY_MYSQL
        case _:
            return False


def _has_given_up(error: DatabaseError) -> bool:
    """Return whether a statement took too long, or would have waited too long for others."""
    if isinstance(error.__cause__, sqlite3.Error) and _code(error) == SQLITE_BUSY:
        return True
    return is_time_limit(error) or _code(error) in (LOCK_NOT_AVAILABLE, LOCK_WAIT_TIMEOUT)


def _code(error: DatabaseError) -> str | int | None:
    """Return the database's own code; None if only the driver has said something."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        return None if code is None else code & 0xFF
    if state := getattr(cause, "sqlstate", None):
        return str(state)
    return error.args[0] if error.args and isinstance(error.args[0], int) else None
