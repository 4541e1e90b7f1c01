"""``--health-port``: answers probes over HTTP, in threads of its own and without a database."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from taskworks.worker.pulse import Pulse

REQUEST_TIMEOUT = 5.0  # seconds that somebody may take to send a request


class HealthServer:
    """
    Answers ``/livez`` (the loop turns), ``/readyz`` (it also reaches the database, and takes runs)
    and ``/startupz`` (it has registered) with 200 or 503 and a word.

    Raise OSError if the port cannot be had.
    """

    def __init__(self, host: str, port: int, pulse: Pulse) -> None:
        self._server = _Server((host, port), _Handler)
        self._server.pulse = pulse
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="taskworks-health", daemon=True
        )

    @property
    def port(self) -> int:
        """The port, also if any free one was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    pulse: Pulse

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: somebody has hung up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "taskworks", ""
    timeout = REQUEST_TIMEOUT

    def do_GET(self) -> None:
        pulse = self.server.pulse
        match self.path.partition("?")[0]:
            case "/livez":
                self._answer(pulse.turns, "alive", "the loop of the worker is stuck")
            case "/readyz":
                self._answer(*_readiness(pulse))
            case "/startupz":
                self._answer(pulse.has_begun, "started", "the worker has not registered yet")
            case _:
                self._send(404, "There are /livez, /readyz and /startupz.")

    do_HEAD = do_GET  # noqa: N815 - the name of the standard

    def _answer(self, is_well: bool, well: str, ill: str) -> None:
        self._send(200 if is_well else 503, well if is_well else ill)

    def _send(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the standard
        """Log nothing: probes come every few seconds."""


def _readiness(pulse: Pulse) -> tuple[bool, str, str]:
    if not pulse.turns:
        return False, "", "the loop of the worker is stuck"
    if pulse.is_ending:
        return False, "", "the worker is stopping"
    return pulse.beats, "ready", "no heartbeat has reached the database lately"
