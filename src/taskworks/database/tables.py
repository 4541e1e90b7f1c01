"""What tables a database has."""

from django.db import connections, router
from django.db.models import Model


def has_table(model: type[Model], alias: str) -> bool:
    """Return whether a model belongs into a database, and has been migrated there."""
    if not router.allow_migrate_model(alias, model):
        return False
    connection = connections[alias]
    with connection.cursor() as cursor:
        return model._meta.db_table in connection.introspection.table_names(cursor)
