import os
import signal
from typing import Any

from django.apps import AppConfig


class EndpointsConfig(AppConfig):
    """An app whose worker is killed, as by kill -9, where TASKWORKS_TEST_DEATH says."""

    name = "tests.endpoints"

    def ready(self) -> None:
        # Imported for them alone: hundreds of child processes of the tests start with this.
        match os.environ.get("TASKWORKS_TEST_DEATH"):
            case "after_the_finish":
                from taskworks.duties.unblock import Followers

                Followers.unblock = _die_if_it_has_followers
            case "between_the_statements":
                from taskworks.store import Store

                Store.unblock = _die


def _die_if_it_has_followers(followers: Any) -> bool:
    if followers._ended:
        _die()
    return False


def _die(*args: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
