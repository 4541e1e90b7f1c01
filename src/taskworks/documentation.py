"""Addresses of the documentation, for messages that refer to it."""

SITE = "https://django-taskworks.readthedocs.io/en/latest/"


def page(path: str, anchor: str = "") -> str:
    """Return the address of a page, such as ``reference/settings``, or of one of its headings."""
    return f"{SITE}{path}.html{'#' * bool(anchor)}{anchor}"
