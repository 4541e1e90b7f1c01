"""What ``.ci/run`` does with the servers that it finds."""

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "run"


def function(name: str) -> str:
    """A function of the script, which does all of its work when it is called."""
    found = re.search(rf"^{name}\(\) {{.*?^}}", SCRIPT.read_text(), re.DOTALL | re.MULTILINE)
    assert found, name
    return found[0]


def bash(*lines: str) -> str:
    script = "\n".join(["set -euo pipefail", *lines])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:secret@redis.example.com:6380/0", "redis.example.com 6380"),
        ("redis://redis.example.com/0", "redis.example.com 6379"),
        ("127.0.0.1", "127.0.0.1 6379"),
        ("redis://127.0.0.1:/0", ""),
        ("redis+socket:///tmp/x.sock", ""),
        ("unix:///tmp/x.sock", ""),
    ],
)
def test_where_a_server_is_expected(url: str, place: str) -> None:
    assert bash(function("address"), f"address '{url}' 6379") == place


# A service of this name is installed everywhere: its script is a program that exists.
SERVICE = "../../bin/true"
WORLD = """
report() { echo "$*"; }
as_root() { echo "as root: $*"; is_started=1; }
answers() { [ "$is_started" = 1 ]; }
wait_for() { answers "$1" "$2"; }
pgrep() { [ "$is_running" = 1 ]; }
"""


def provided(*place: str, is_running: bool = False, is_started: bool = False) -> str:
    world = f"is_running={int(is_running)} is_started={int(is_started)}\n{WORLD}"
    return bash(world, function("provide"), f"provide {SERVICE} redis-server {' '.join(place)}")


def test_a_server_that_answers_is_used() -> None:
    said = provided("127.0.0.1", "6379", is_started=True)
    assert said == f"{SERVICE} answers on 127.0.0.1:6379\n"


def test_a_server_is_started() -> None:
    assert "as root: service" in provided("127.0.0.1", "6379")


def test_a_server_elsewhere_is_not_mistaken_for_the_one_that_is_wanted() -> None:
    said = provided("127.0.0.1", "6379", is_running=True)
    assert f"as root: service {SERVICE} start" in said
    assert "does not answer on 127.0.0.1:6379 yet" in said


def test_what_has_no_host_and_port_is_left_alone() -> None:
    assert "no host and port" in provided()
