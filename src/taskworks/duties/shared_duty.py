"""A thread for something that one worker of all does, and that no worker does all the time."""

import math
from abc import abstractmethod
from typing import ClassVar

from taskworks.database.background import BackgroundThread
from taskworks.store import Store


class SharedDuty(BackgroundThread):
    """
    Does its duty when ``wake`` says that it is time, unless another worker has just begun it. In
    between it has no connection.
    """

    duty: ClassVar[str]

    def __init__(self, name: str, store: Store, activity: str) -> None:
        super().__init__(name, store.alias, activity)
        self._store = store

    @abstractmethod
    def fulfil(self) -> None:
        """Do what is due."""

    def first_pause(self) -> float:
        return math.inf

    def pause_after_failure(self, seconds: float) -> float:
        return math.inf  # it is still due, or another worker's by now

    def step(self) -> float:
        if self._store.begin_duty(self.duty):
            self.fulfil()
        return math.inf
