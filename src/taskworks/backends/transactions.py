"""In which transaction a run is stored, and in which nobody can wait for one."""

from django.db import DEFAULT_DB_ALIAS, connections

from taskworks.database.transactions import is_inside_own_block


def transaction_to_await(alias: str, *, wanted: bool) -> str | None:
    """
    Return the alias on whose commit a run is to be stored; None to store it now.

    A run is stored in a transaction that is open on the tables' alias, unless ``wanted``. If the
    tables are in the default database, transactions on other aliases do not matter, unless
    ``wanted``.
    """
    if connections[alias].in_atomic_block:
        return alias if wanted else None
    if alias == DEFAULT_DB_ALIAS and not wanted:
        return None
    in_transaction = [c.alias for c in connections.all(initialized_only=True) if c.in_atomic_block]
    if DEFAULT_DB_ALIAS in in_transaction:
        return DEFAULT_DB_ALIAS
    return next(iter(in_transaction), None)


def refuse_to_wait_in_a_transaction(alias: str, what: str = "a run") -> None:
    """Raise RuntimeError in a transaction on this alias, unless it is that of a ``TestCase``."""
    if is_inside_own_block(connections[alias]):
        raise RuntimeError(
            f"Cannot wait for {what} inside a transaction on {alias!r}: workers do not see what it "
            "has written, and it may not see what they write. Wait after the commit."
        )
