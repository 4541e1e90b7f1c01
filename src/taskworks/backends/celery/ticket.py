"""The ticket: a message that says to Celery's workers that a queue has runs, and executes none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The task that messages name. A worker that does not know it discards them, and nothing is lost.
TASK_NAME = "taskworks.run"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Says that a queue has runs, and for people's eyes the id of one of them."""

    queue_name: str  # as runs have it, which is not what Celery calls the queue
    run_id: str
    routing_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def message_of(ticket: Ticket, origin: str) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """
    Return the headers, the properties and the body, by version 2 of Celery's protocol. Who gets it
    needs the name of the task alone.
    """
    args: list[Any] = [ticket.run_id]
    headers = {
        "lang": "py",
        "task": TASK_NAME,
        "id": ticket.run_id,
        "root_id": ticket.run_id,
        "parent_id": None,
        "group": None,
        "shadow": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": repr(args),
        "kwargsrepr": "{}",
        "origin": origin,
        "ignore_result": True,
        **ticket.headers,
    }
    properties = {"correlation_id": ticket.run_id, "reply_to": ""}
    embedded = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    return headers, properties, (args, {}, embedded)
