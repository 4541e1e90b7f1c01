"""The stages of a shutdown that a signal handler asks for, too."""

import pytest

from taskworks.worker.shutdown import Shutdown, Stage


@pytest.mark.any_database
def test_a_signal_handler_that_interrupts_who_asks_is_heeded_at_once() -> None:
    """It may never return: a handler of Celery's waits for its pool."""
    seen: list[Stage] = []

    class Interrupted(Shutdown):
        def _set_deadline(self) -> None:
            if not seen:
                seen.append(Stage.WORKING)
                self.ask()
                seen.append(self.stage)
            super()._set_deadline()

    shutdown = Interrupted()
    shutdown.ask()
    assert seen == [Stage.WORKING, Stage.DRAINING]
    assert shutdown.stage is Stage.RELEASING
