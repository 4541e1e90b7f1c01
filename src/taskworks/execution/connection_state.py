"""What a task may leave in a connection's wrapper, such as the schema of a tenant."""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.functional import cached_property

# What Django itself changes in a wrapper, or does not change at all.
DJANGOS = frozenset(
    {
        "_thread_ident",
        "_thread_sharing_count",
        "_thread_sharing_lock",
        "alias",
        "atomic_blocks",
        "autocommit",
        "client",
        "close_at",
        "closed_in_transaction",
        "commit_on_exit",
        "connection",
        "creation",
        "errors_occurred",
        "execute_wrappers",  # compared as a copy
        "features",
        "health_check_done",
        "health_check_enabled",
        "in_atomic_block",
        "init_commands",
        "introspection",
        "isolation_level",
        "needs_rollback",
        "ops",
        "queries_log",
        "rollback_exc",
        "run_commit_hooks_on_set_autocommit_on",
        "run_on_commit",
        "savepoint_ids",
        "savepoint_state",
        "settings_dict",
        "transaction_mode",
        "validation",
    }
)

State = dict[str, Any]


def state_of(connection: BaseDatabaseWrapper) -> State:
    """Return what is not Django's in a wrapper, and the functions that wrap its statements."""
    kind = type(connection)
    own = {
        name: value
        for name, value in vars(connection).items()
        if name not in DJANGOS and not isinstance(getattr(kind, name, None), cached_property)
    }
    return {**own, "execute_wrappers": [*connection.execute_wrappers]}


def state_of_new(alias: str) -> State:
    """Return the state of a wrapper that nobody has used."""
    return state_of(connections.create_connection(alias))


def is_same(one: State, other: State) -> bool:
    """Return whether two states are equal, of which each may have made its objects anew."""
    return one.keys() == other.keys() and all(
        _is_same(value, other[name]) for name, value in one.items()
    )


def _is_same(one: Any, other: Any) -> bool:
    if one is other or one == other:
        return True
    return type(one) is type(other) and hasattr(one, "__dict__") and vars(one) == vars(other)
