"""``Place``: where a system is measured; its processes get it in an environment variable."""

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "TASKWORKS_BENCH"
PREFIX = os.environ.get("TASKWORKS_BENCH_PREFIX", "bench_taskworks")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A system, where it stores its tasks, and where its tasks write their marks."""

    system: str
    store: str  # postgresql, mariadb, sqlite, redis, rabbitmq
    files: str
    variant: str = ""  # of the database, if a system needs two
    options: str = ""  # further ones, for its worker
    source: str = ""  # a folder with another version of the package

    @classmethod
    def here(cls) -> "Place":
        """Return the place for which this process was started."""
        return cls(**json.loads(os.environ[VARIABLE]))

    @property
    def title(self) -> str:
        """The system and its store, as one word."""
        return "-".join(filter(None, [self.system, self.store, self.variant]))

    @property
    def database(self) -> str:
        """The name of the system's own database, queue or key."""
        return "_".join(filter(None, [PREFIX, self.system.replace("-", "_"), self.variant]))

    @property
    def marks(self) -> str:
        """The file of marks, in memory."""
        return f"{self.files}/marks/{self.title}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its processes."""
        other = {"PYTHONPATH": self.source} if self.source else {}
        return {**os.environ, **other, VARIABLE: json.dumps(asdict(self))}
