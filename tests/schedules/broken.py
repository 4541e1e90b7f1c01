"""A module that cannot be imported, because of another."""

import tests.schedules.not_there  # noqa: F401
