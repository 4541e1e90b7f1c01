"""
Do the faults to each database, and write the table: `python -m tests.faults [NAME ...]`.

It takes half an hour and more, for workers are as patient as they are by default.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import django

from tests.faults import report, table
from tests.faults.pace import PACES


def main() -> int:
    options = _parse()
    pace = PACES[options.pace]
    with tempfile.TemporaryDirectory(prefix="taskworks-faults-") as folder:
        seen = Path(options.report or Path(folder) / "report")
        seen.touch()
        command = [sys.executable, "-m", "tests.on_every_database", *options.names, "--"]
        code = subprocess.run(
            [*command, "tests/faults", "-o", "timeout=1200", *options.pytest],
            env={
                **os.environ,
                "TASKWORKS_FAULTS_PACE": options.pace,
                report.VARIABLE: str(seen.resolve()),
            },
            check=False,
        ).returncode
        table.write(
            seen,
            f"Python {platform.python_version()}, Django {django.get_version()}, "
            f"`HEARTBEAT_INTERVAL` {pace.heartbeat_interval:g} s, "
            f"`WORKER_TIMEOUT` {pace.worker_timeout:g} s, {os.cpu_count()} processors.",
        )
    print(f"Written: {table.PAGE}")
    return code


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the databases (default: all)")
    parser.add_argument("--pace", choices=PACES, default="default", help="how patient workers are")
    parser.add_argument("--report", help="a file to add to what it has (default: a fresh one)")
    parser.add_argument("--pytest", nargs="*", default=[], help="more words for pytest")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
