"""A clock that a test moves."""


class Clock:
    """In place of the module time, of which it has ``monotonic``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now
