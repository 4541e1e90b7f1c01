"""The address in ``TASKWORKS["WAKEUP"]``, which may have a password that nothing shows."""

from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from taskworks.masking import MASK

SCHEMES = ("redis", "rediss", "unix")
EXAMPLE = "redis://127.0.0.1:6379/0"
TIMEOUT = 2.0  # seconds to connect, to write, and to wait for an answer

ENCODE = "In a name or a password, write / as %2F, ? as %3F, # as %23, and @ as %40."


def client_of(address: str) -> Any:
    """
    Return a client of redis-py for this address, which has not connected yet. Raise
    ImproperlyConfigured if redis-py is not installed, or refuses the address.
    """
    _validate(address)
    try:
        from redis import Redis, RedisError
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ImproperlyConfigured(
            f"TASKWORKS['WAKEUP'] needs redis-py, which cannot be imported: {error}. Run "
            "pip install 'django-taskworks[redis]'."
        ) from error
    try:
        client = Redis.from_url(
            address,
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # who waits, and how long, is decided here
        )
        client.connection_pool.make_connection()  # which refuses unknown options
    except (RedisError, TypeError, ValueError) as error:
        reason = without_secrets(str(error), address)
        raise ImproperlyConfigured(
            f"TASKWORKS['WAKEUP'] is an address that redis-py refuses: {reason}"
        ) from None
    return client


def without_secrets(text: str, address: str) -> str:
    """Return a text in which the passwords of the address are masked."""
    try:
        parts = urlsplit(address)
        given = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    except ValueError:
        return text
    for secret in sorted({*given, *map(unquote, given)} - {""}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _validate(address: str) -> None:
    """Raise ImproperlyConfigured for what redis-py would read in another way than it is meant."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:  # its text has a part of the address, perhaps of the password
        raise _refused(f"has no host and port that can be read. {ENCODE}") from None
    if parts.scheme not in SCHEMES or not address.startswith(f"{parts.scheme}://"):
        raise _refused(f"must begin with redis://, rediss:// or unix://, as in {EXAMPLE!r}.")
    if parts.fragment or "@" in parts.path + parts.query:
        raise _refused(f"has a # or an @ where none can be. {ENCODE}")
    if parts.scheme == "unix" and not parts.path.strip("/"):
        raise _refused("names no socket, as in 'unix:///run/redis/redis.sock'.")
    if parts.scheme != "unix" and not _is_number(parts):
        raise _refused(
            f"has something other than a number of a database after its host, as in {EXAMPLE!r}."
        )


def _is_number(parts: SplitResult) -> bool:
    number = parts.path.strip("/")
    return not number or (number.isascii() and number.isdecimal())


def _refused(reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"TASKWORKS['WAKEUP'] {reason}")
