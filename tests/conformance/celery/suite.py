"""Run Celery's own unit tests on our shim, and tell what became of each."""

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.conformance.celery.names import install
from tests.conformance.sdist import fetch

ROOT = Path(__file__).resolve().parents[3]
VERSION = "5.7.0"
# The modules, and the classes of tests that speak of tasks, retries, results and shared_task.
TESTS = {
    "t/unit/tasks/test_tasks.py": ("test_task_retries", "test_tasks", "test_apply_task"),
    "t/unit/tasks/test_result.py": ("test_AsyncResult", "test_EagerResult"),
    "t/unit/app/test_app.py": ("test_shared_task",),
}
HEADER = "import pytest\nfrom celery import shared_task\n\n\n"


def outcomes() -> dict[str, str]:
    """Return what became of each test: "passed", "skipped", or why it failed."""
    archive = fetch(VERSION, "celery")
    with tempfile.TemporaryDirectory() as folder:
        names = _unpack(archive, Path(folder))
        noted = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conformance.celery.plugin"]
        command += [
            "-p",
            "no:schemathesis",
            "-p",
            "no:cacheprovider",
            "--tb=short",
            "-c",
            os.devnull,
        ]
        command += ["--rootdir", folder, "--ds", "tests.settings", "-o", "python_classes=test_*"]
        done = subprocess.run(
            [*command, "--create-db", *names],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
                "TASKWORKS_TEST_DATABASE": "sqlite",
                "TASKWORKS_TEST_FILES": folder,
                "CELERY_OUTCOMES": str(noted),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if not noted.exists():
            raise RuntimeError(done.stdout + done.stderr)
        found: dict[str, str] = json.loads(noted.read_text())
        return found


def _unpack(archive: Path, folder: Path) -> list[str]:
    """Write the modules, with the names that they are to mean; return what pytest is to run."""
    names = install()
    run = []
    with tarfile.open(archive) as tar:
        for path, classes in TESTS.items():
            member = tar.extractfile(f"celery-{VERSION}/{path}")
            assert member is not None
            source = member.read().decode()
            if path.endswith("test_app.py"):  # of which the others need much of Celery
                source = HEADER + _class(source, *classes)
            for theirs, ours in names.items():
                source = re.sub(
                    rf"^from {re.escape(theirs)} import", f"from {ours} import", source, flags=re.M
                )
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            for package in [*file.parents][: len(Path(path).parts) - 1]:
                (package / "__init__.py").touch()
            file.write_text(source)
            run += [f"{file}::{name}" for name in classes]
    return run


def _class(source: str, name: str) -> str:
    found = next(
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    return ast.get_source_segment(source, found) or ""


if __name__ == "__main__":
    for name, outcome in sorted(outcomes().items()):
        print(f"{name}: {outcome}")
