"""The statistics by which a database makes its plans, brought up to date."""

from django.db import connection
from django.db.models import Model


def tidy(model: type[Model]) -> None:
    """
    Have the database count what is there, and only that: what earlier tests have deleted counts in
    plans until it is purged, whenever that is.
    """
    verb = {"postgresql": "VACUUM ANALYZE", "mysql": "OPTIMIZE TABLE", "sqlite": "ANALYZE"}
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(model._meta.db_table)
        cursor.execute(f"{verb[connection.vendor]} {table}")
        cursor.fetchall() if connection.vendor == "mysql" else None
