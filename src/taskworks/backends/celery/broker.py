"""A connection to a broker of its own, which never waits for longer than a few seconds."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from taskworks.backends.celery.errors import said_by
from taskworks.backends.celery.ticket import TASK_NAME, Ticket, message_of
from taskworks.database.importing import import_what_connecting_takes

TIMEOUT = 2  # seconds to connect, to read and to write

# What transports of kombu call that. They ignore what they do not know.
BOUNDED = {
    "read_timeout": TIMEOUT,
    "write_timeout": TIMEOUT,
    "socket_timeout": TIMEOUT,
    "socket_connect_timeout": TIMEOUT,
    "max_retries": 0,  # of a connection: whoever calls tries again
    "confirm_publish": False,  # to lose a ticket costs less than to wait for an answer
}


class Unreachable(Exception):  # noqa: N818 - it says what the broker is
    """The broker cannot be reached."""


class Broker:
    """
    The broker of an app, to which tickets are sent. Connects when it is needed. Not Celery's own
    producers: these wait without end for a broker that has frozen.
    """

    def __init__(self) -> None:
        self._app: Any = None
        self._connection: Any = None
        self._producer: Any = None

    def prepare(self, app: Any) -> None:
        """Import what it takes to send to the broker of this app, without a connection to it."""
        if app is self._app:
            return
        self.close()
        connection = _bounded(app.connection_for_write())
        _ = connection.transport, app.amqp.router, app.amqp.send_task_message
        import_what_connecting_takes()
        self._app, self._connection = app, connection

    def send(self, queue: str, ticket: Ticket) -> None:
        """
        Send a ticket to a queue of Celery. Raise Unreachable, or whatever is wrong with this queue.
        """
        if self._producer is None:
            self._connect()
            self._publish(queue, ticket)
            return
        try:
            self._publish(queue, ticket)
        except Unreachable:  # it may have closed a connection that was not used for long
            self._connect()
            self._publish(queue, ticket)

    def close(self) -> None:
        """Close the connection, so that what was sent arrives."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.release()
        self._connection = self._producer = None

    def abandon(self) -> None:
        """Forget a connection of the process that has forked this one: to close it, closes both."""
        with suppress(Exception):  # only AMQP's does not see that it is in another process
            os.close(self._connection._connection.sock.detach())
        with suppress(Exception):  # only Redis's has these
            _forget_pools(self._connection._connection.channels)
        self._connection = self._producer = None

    def _connect(self) -> None:
        try:
            if self._connection is None:
                self._connection = _bounded(self._app.connection_for_write())
            self._producer = self._app.amqp.Producer(
                self._connection.default_channel, auto_declare=False
            )
        except Exception as error:
            self._drop()
            raise Unreachable(said_by(error)) from error

    def _publish(self, queue: str, ticket: Ticket) -> None:
        app, wanted = self._app, {"queue": queue}
        if ticket.routing_key:
            wanted["routing_key"] = ticket.routing_key
        message = *message_of(ticket, f"{os.getpid()}@{socket.gethostname()}"), None
        destination = app.amqp.router.route(wanted, TASK_NAME, [ticket.run_id], {})
        try:
            app.amqp.send_task_message(
                self._producer, TASK_NAME, message, serializer="json", retry=False, **destination
            )
        except Exception as error:
            is_down = isinstance(error, (OSError, *self._connection.connection_errors))
            self._drop()
            if is_down:
                raise Unreachable(said_by(error)) from error
            raise

    def _drop(self) -> None:
        """Give up a connection on which something failed, without a word to the broker."""
        self._producer = None
        if self._connection is not None:
            with suppress(Exception):
                self._connection.maybe_switch_next()  # to another host, if the app names several
            with suppress(Exception):
                self._connection.collect(socket.getdefaulttimeout())


def _forget_pools(channels: Iterable[Any]) -> None:
    """
    Have kombu not close what Redis's channels have, as it does in a child: the parent's thread may
    have been using that, and a lock that it held is taken here for ever.
    """
    for channel in channels:
        channel._pool = channel._async_pool = None
        channel._sentinel_manager = channel._async_sentinel_manager = None


def _bounded(connection: Any) -> Any:
    """Return a copy of a connection that gives up soon."""
    options = {**(connection.transport_options or {}), **BOUNDED}
    return connection.clone(connect_timeout=TIMEOUT, heartbeat=0, transport_options=options)
