"""The queue of a worker at its broker, as whoever sends to it has to declare it as well."""

from kombu import Exchange, Queue


def broker_queue(name: str) -> Queue:
    """What a test leaves behind at the broker goes by itself."""
    return Queue(name, Exchange(name, auto_delete=True), routing_key=name, expires=600.0)
