"""Whether Redis wakes workers, if it is to."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.wakeup.address import client_of, without_secrets
from taskworks.wakeup.channel import PREFIX

ARRIVES_WITHIN = 3.0  # seconds


def wake_ups_do_not_arrive(situation: Situation) -> Iterator[Problem]:
    """Send something to oneself through Redis."""
    address = conf().wakeup
    if not address:
        return
    try:
        with closing(client_of(address)) as client, closing(client.pubsub()) as subscription:
            if _arrives(client, subscription):
                return
        reason = f"nothing arrived within {ARRIVES_WITHIN:g} s"
    except Exception as error:  # noqa: BLE001 - of Redis, the network, or the setting
        reason = without_secrets(str(error), address)
    yield Problem(
        "wake_ups_do_not_arrive",
        Severity.WARNING,
        "TASKWORKS['WAKEUP']",
        f"Redis does not wake workers, so they poll, and begin runs later: {reason}",
        "See whether Redis runs, and whether this machine reaches it; or remove "
        "TASKWORKS['WAKEUP'].",
    )


def _arrives(client: Any, subscription: Any) -> bool:
    # On a channel of its own, so that no worker is woken.
    own = f"{PREFIX}:{uuid4().hex}"
    subscription.subscribe(own)
    until = time.monotonic() + ARRIVES_WITHIN
    while (left := until - time.monotonic()) > 0:
        message = subscription.get_message(timeout=left)
        if message and message["type"] == "subscribe":  # before that it might be sent too early
            client.publish(own, "")
        elif message and message["type"] == "message":
            return True
    return False
