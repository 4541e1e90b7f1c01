"""How answers are written."""

from rest_framework.renderers import JSONRenderer


class JSON(JSONRenderer):
    """Escapes what is not ASCII, so that half a surrogate pair can be echoed as well."""

    charset = None
    ensure_ascii = True
