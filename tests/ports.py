"""Ports for servers of a test's own."""

import random
import socket
from contextlib import suppress

FIRST_OF_CLIENTS = 32_768  # of the ports that Linux gives to them


def free_port() -> int:
    """
    One that the system gives to no client: while the server is not there, one that asks for it
    would reach itself, or keep the server from coming back.
    """
    while True:
        port = random.randint(12_000, FIRST_OF_CLIENTS - 1)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
