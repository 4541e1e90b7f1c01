"""Which failures are one error: whatever the release, the machine and the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskworks.failures.fingerprint import identity_of, message

pytestmark = pytest.mark.any_database
TASK, ERROR = "shop.tasks.charge", "shop.bank.Refused"


def traceback(*frames: str, end: str = "shop.bank.Refused: no") -> str:
    lines = [
        f'  File "{frame.partition("@")[0]}", line {n}, in {frame.partition("@")[2]}\n    do()'
        for n, frame in enumerate(frames, 7)
    ]
    return "\n".join(["Traceback (most recent call last):", *lines, end, ""])


def place(text: str, task: str = TASK) -> str:
    return identity_of(task, ERROR, text).place


SITE = "/venv/lib/python3.12/site-packages"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (["/srv/v1/shop/tasks.py@charge"], "shop/tasks.py:charge"),
        (["/srv/v2/shop/tasks.py@charge", "/srv/v2/shop/bank.py@pay"], "shop/bank.py:pay"),
        # The innermost of the project's own.
        (["/srv/v1/shop/tasks.py@charge", f"{SITE}/requests/api.py@get"], "shop/tasks.py:charge"),
        (["/srv/shop/tasks.py@charge", "/usr/lib/python3.12/json.py@load"], "shop/tasks.py:charge"),
        (["/srv/v1/shop/tasks.py@charge", "<frozen os>@walk"], "shop/tasks.py:charge"),
        (["/srv/v1/shop/tasks/__init__.py@charge"], "shop/tasks/__init__.py:charge"),
        # There is none.
        ([f"{SITE}/a/tasks.py@run", f"{SITE}/b/c.py@d"], f"{SITE}/b/c.py:d"),
        ([], ""),
        (["/srv/it's \"odd\"/shop/tasks.py@charge"], "shop/tasks.py:charge"),
    ],
)  # fmt: skip
def test_the_place_is_the_innermost_frame_of_the_projects_own(
    frames: list[str], expected: str
) -> None:
    assert place(traceback(*frames)) == expected


def test_lines_directories_and_messages_do_not_matter() -> None:
    one = identity_of(TASK, ERROR, traceback("/srv/v1/shop/tasks.py@charge", end=f"{ERROR}: 17"))
    two = identity_of(
        TASK, ERROR, traceback("/x@y", "/other/shop/tasks.py@charge", end=f"{ERROR}: 18\nmore")
    )
    assert one.fingerprint == two.fingerprint
    assert len(one.fingerprint) == 16


@pytest.mark.parametrize(
    ("task", "error", "frame"),
    [
        ("shop.tasks.refund", ERROR, "/srv/shop/tasks.py@charge"),
        (TASK, "builtins.ValueError", "/srv/shop/tasks.py@charge"),
        (TASK, ERROR, "/srv/shop/tasks.py@check"),
        (TASK, ERROR, "/srv/shop/bank.py@charge"),
    ],
)
def test_task_exception_file_and_function_do(task: str, error: str, frame: str) -> None:
    one = identity_of(TASK, ERROR, traceback("/srv/shop/tasks.py@charge"))
    other = identity_of(task, error, traceback("/srv/shop/tasks.py@go", frame))
    assert one.fingerprint != other.fingerprint


def test_what_was_raised_last_counts() -> None:
    first = traceback("/srv/shop/tasks.py@charge", "/srv/shop/bank.py@pay", end="KeyError: 1")
    last = traceback("/srv/shop/tasks.py@charge")
    for between in (
        "During handling of the above exception, another exception occurred:",
        "The above exception was the direct cause of the following exception:",
    ):
        assert place(f"{first}\n{between}\n\n{last}") == "shop/tasks.py:charge"


def test_of_a_group_its_own_frames_count() -> None:
    text = """\
  + Exception Group Traceback (most recent call last):
  |   File "/srv/shop/tasks.py", line 3, in charge
  |     raise ExceptionGroup("many", errors)
  | ExceptionGroup: many (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/shop/bank.py", line 9, in pay
    | ValueError: no
    +------------------------------------
"""
    assert place(text) == "shop/tasks.py:charge"


@given(st.text(max_size=300), st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_stored_has_a_fingerprint(text: str, task: str, error: str) -> None:
    identity = identity_of(task, error, text)
    assert len(identity.fingerprint) == 16
    assert len(message(error, text)) <= 1000
