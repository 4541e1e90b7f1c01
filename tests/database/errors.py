"""Errors of real databases, which tests have them raise."""

from django.db import connections

from taskworks.database.time_limit import TookTooLong, reading_at_most

SLOW = {
    "postgresql": "SELECT pg_sleep(20)",
    # Sleeping is cut short there without an error.
    "mysql": """
        SELECT COUNT(*) FROM information_schema.columns a, information_schema.columns b,
            information_schema.columns c, information_schema.columns d""",
    "sqlite": """
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)
        SELECT COUNT(*) FROM n""",
}


def take_too_long(alias: str) -> None:
    """Raise what the database raises when it gives up a statement."""
    try:
        with reading_at_most(alias, 0.001), connections[alias].cursor() as cursor:
            cursor.execute(SLOW[connections[alias].vendor])
            cursor.fetchall()
    except TookTooLong as given_up:
        if (error := given_up.__cause__) is not None:
            raise error from error.__cause__
