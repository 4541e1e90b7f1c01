"""A real Prometheus, as Debian packages it, and its tool."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.ports import free_port
from tests.waiting import wait_for

PROGRAMS = ("prometheus", "promtool")
CONFIGURATION = """
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
  evaluation_interval: 500ms
rule_files: [{rules}]
scrape_configs:
  - job_name: shop
    authorization: {{credentials: {token}}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def are_there() -> bool:
    return all(map(shutil.which, PROGRAMS))


def promtool(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    command = ["promtool", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


class Prometheus:
    """What a server that is up says."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[Any]:
        """The result of an expression now."""
        found: list[Any] = self.get("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """That of an expression with one result, None without one."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self._base}/api/v1/{path}?{urlencode(parameters)}") as answer:
            return json.load(answer)["data"]

    def is_ready(self) -> bool:
        with suppress(URLError, ConnectionError), urlopen(f"{self._base}/-/ready") as answer:
            return bool(answer.status == 200)
        return False


@contextmanager
def reading(port: int, token: str, rules: Path, folder: Path) -> Iterator[Prometheus]:
    """A server that reads the metrics at this port twice a second, with these rules."""
    file, own_port = folder / "prometheus.yml", free_port()
    file.write_text(CONFIGURATION.format(rules=rules, token=token, port=port))
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server = Prometheus(own_port)
        wait_for(server.is_ready, f"Prometheus is ready; {folder / 'log'} says why not")
        yield server
    finally:
        process.terminate()
        process.wait()
