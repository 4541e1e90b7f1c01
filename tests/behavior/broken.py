"""A module that cannot be imported, as one whose dependency is missing."""

raise RuntimeError("not today")
