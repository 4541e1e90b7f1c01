"""The body of a request: JSON of a bounded size, which nothing in it can turn into an error 500."""

from io import BytesIO
from typing import Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

from taskworks.conf import conf

ENVELOPE = 64 * 1024  # bytes for what is not an input, and for space between


class TooLarge(APIException):
    status_code = 413
    default_detail = (
        "The request's body is too large, by the project's DATA_UPLOAD_MAX_MEMORY_SIZE. Store the "
        "data elsewhere, and pass its key."
    )
    default_code = "too_large"


class BoundedJSONParser(JSONParser):
    """Standard JSON, without NaN and Infinity, of ``TASKWORKS["MAX_JSON_SIZE"]`` and a little."""

    strict = True

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        most = conf().max_json_size + ENVELOPE
        body = stream.read(most + 1)
        if len(body) > most:
            raise TooLarge(
                f"The request's body is too large: more than {most:,} bytes. "
                "Store the data elsewhere, and pass its key."
            )
        try:
            return super().parse(BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deeply") from None
