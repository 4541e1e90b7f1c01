"""Django's source distribution: the only published form of Django that holds its tests.

Nothing of it is kept in this repository. It is downloaded once into `.cache/`, and the tests
of tasks are unpacked from there into a folder that lives as long as their run.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "django-sdist"
DOWNLOAD_SECONDS = 300
# The name that the tests are imported by.
PACKAGE = "tasks"


class SdistUnavailableError(Exception):
    """Django's source distribution is neither in the cache nor to be had."""


def fetch(version: str, project: str = "Django") -> Path:
    """Return the source archive of this Django, downloaded unless it is in the cache."""
    archive = CACHE / f"{project.lower()}-{version}.tar.gz"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            # A rename is atomic: runs that download at the same time never see half a file.
            _download(project, version, Path(folder)).replace(archive)
    return archive


def _download(project: str, version: str, folder: Path) -> Path:
    what = f"{project}=={version}"
    command = [sys.executable, "-m", "pip", "download", what, "--dest", str(folder)]
    # Only the archive is wanted: no wheel, no dependencies, and on any Python, since what is
    # read from it are tests that an older Python runs as well.
    command += ["--no-binary", project, "--no-deps", "--ignore-requires-python"]
    try:
        subprocess.run(
            [*command, "--quiet", "--no-input"],
            check=True,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise SdistUnavailableError(f"pip could not download {what}: {error.stderr}") from None
    except subprocess.TimeoutExpired as error:
        raise SdistUnavailableError(f"pip did not download {what} in time") from error
    (archive,) = folder.glob("*.tar.gz")
    return archive


def unpack_tests(archive: Path, folder: Path, renames: Mapping[str, str]) -> Path:
    """Write Django's `tests/tasks` as the package `tasks` in `folder`, and return its path.

    Each dotted name in `renames` is replaced wherever it stands: in imports, in settings and in
    names of loggers.
    """
    package = folder / PACKAGE
    package.mkdir()
    for name, source in _read_tests(archive):
        (package / name).write_text(_rename(source, renames), encoding="utf-8")
    return package


def _read_tests(archive: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.parent.parts[1:] == ("tests", "tasks") and path.suffix == ".py":
                content = tar.extractfile(member)
                assert content is not None
                yield path.name, content.read().decode("utf-8")


def _rename(source: str, renames: Mapping[str, str]) -> str:
    for old, new in renames.items():
        source = re.sub(rf"\b{re.escape(old)}\b", new, source)
    return source
