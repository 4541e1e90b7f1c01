"""Where one system is measured: handed to each process of it in one environment variable."""

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "TASKWORKS_BENCH"
PREFIX = os.environ.get("TASKWORKS_BENCH_PREFIX", "bench_taskworks")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A system, what it stores its tasks in, and where its tasks leave their marks."""

    system: str
    store: str  # postgresql, mariadb, sqlite, redis, rabbitmq
    files: str
    variant: str = ""  # of the database, where one system needs two
    options: str = ""  # of its worker, besides

    @classmethod
    def here(cls) -> "Place":
        """What this process was started for."""
        return cls(**json.loads(os.environ[VARIABLE]))

    @property
    def title(self) -> str:
        """The system and its store, as one word."""
        return "-".join(filter(None, [self.system, self.store, self.variant]))

    @property
    def database(self) -> str:
        """The name of the database, queue or key that is this system's own."""
        return "_".join(filter(None, [PREFIX, self.system.replace("-", "_"), self.variant]))

    @property
    def marks(self) -> str:
        """The file of marks, in memory."""
        return f"{self.files}/marks/{self.title}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its processes."""
        return {**os.environ, VARIABLE: json.dumps(asdict(self))}
