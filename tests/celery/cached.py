"""A value that django-cacheback keeps, and refreshes by a task of Celery."""

from typing import Any

from cacheback.base import Job

PRICES: dict[str, int] = {}


class Prices(Job):  # type: ignore[misc]
    fetch_on_miss = False

    def fetch(self, name: str) -> Any:
        return PRICES[name]
