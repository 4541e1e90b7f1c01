"""Several sources of wake-ups, as one."""

from taskworks.worker.claiming import WakeUpSource


class SeveralSources:
    """Wakes a worker when one of its sources does; each covers for the others."""

    def __init__(self, *sources: WakeUpSource) -> None:
        self._sources = sources

    @property
    def works(self) -> bool:
        return any(source.works for source in self._sources)

    @property
    def misses_nothing(self) -> bool:
        return any(source.works and source.misses_nothing for source in self._sources)

    def start(self) -> None:
        for source in self._sources:
            source.start()

    def stop(self) -> None:
        for source in self._sources:
            source.stop()

    def take(self) -> set[str | None]:
        return set().union(*(source.take() for source in self._sources))
