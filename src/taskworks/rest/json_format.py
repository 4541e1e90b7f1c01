"""How bodies are read and answers are written: as JSON, whatever a client says it accepts."""

from io import BytesIO
from typing import Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer

from taskworks.conf import conf

ENVELOPE_SIZE = 64 * 1024  # bytes that a body may have besides MAX_JSON_SIZE for the inputs


class BodyTooLarge(APIException):
    status_code = 413
    default_detail = (
        "The request's body is too large, by the project's DATA_UPLOAD_MAX_MEMORY_SIZE. Store the "
        "data elsewhere, and pass its key."
    )
    default_code = "too_large"


class BoundedJSONParser(JSONParser):
    """
    Parses standard JSON, without NaN and Infinity.

    Raises BodyTooLarge above ``TASKWORKS["MAX_JSON_SIZE"]`` plus ``ENVELOPE_SIZE``, and ParseError
    for anything that is not JSON: no body is an error 500.
    """

    strict = True

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        max_size = conf().max_json_size + ENVELOPE_SIZE
        body = stream.read(max_size + 1)
        if len(body) > max_size:
            raise BodyTooLarge(
                f"The request's body is too large: more than {max_size:,} bytes. "
                "Store the data elsewhere, and pass its key."
            )
        try:
            return super().parse(BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deeply") from None


class ASCIIJSONRenderer(JSONRenderer):
    """Escapes everything outside ASCII, so that it can also write half a surrogate pair."""

    charset = None
    ensure_ascii = True


class AlwaysJSON(BaseContentNegotiation):
    """Ignores the ``Accept`` header: a browser's EventSource does not accept JSON."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        media_type = request.content_type.partition(";")[0].strip().lower()
        return parsers[0] if media_type == parsers[0].media_type else None

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
