import os
import signal
from typing import Any

from django.apps import AppConfig


class EndpointsConfig(AppConfig):
    """An app that kills its worker, as kill -9 does, where TASKWORKS_TEST_DEATH says."""

    name = "tests.endpoints"

    def ready(self) -> None:
        # Imported only in these cases: hundreds of child processes of the tests load this app.
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
