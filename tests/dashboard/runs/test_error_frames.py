"""A traceback is shown with the project's frames marked, and those of others folded."""

import json
from pathlib import Path

import pytest

import taskworks
from taskworks.dashboard.runs.error_frames import MAX_SHOWN, Kind, shown
from taskworks.execution.outcome import error_entry

pytestmark = pytest.mark.any_database

OURS = str(Path(taskworks.__file__).parent)
TRACEBACK = f"""Traceback (most recent call last):
  File "/srv/shop/payments.py", line 12, in charge
    bank.pay(order)
    ~~~~~~~~^^^^^^^
  File "/srv/venv/lib/python3.11/site-packages/requests/api.py", line 115, in post
    return request("post", url)
  File "{OURS}/context.py", line 1, in anything
    pass
  File "/srv/shop/bank.py", line 3, in pay
    raise Refused("no\\n  money")
shop.bank.Refused: no
  money
"""


def test_frames_of_the_project_are_told_from_others() -> None:
    parts = shown(TRACEBACK).parts

    assert [(part.kind, part.frames, part.is_folded) for part in parts] == [
        (Kind.TEXT, 0, False),
        (Kind.OWN, 1, False),
        (Kind.FOREIGN, 2, True),
        (Kind.OWN, 1, False),
        (Kind.TEXT, 0, False),
    ]
    assert parts[1].text.endswith("~~~~~~~~^^^^^^^")
    assert "\n".join(part.text for part in parts) == TRACEBACK.rstrip("\n")


def test_frames_within_a_group_of_exceptions() -> None:
    def failing() -> None:
        json.loads("{")

    def grouped() -> None:
        try:
            failing()
        except ValueError as error:
            raise ExceptionGroup("both", [error, KeyError("x")]) from None

    with pytest.raises(ExceptionGroup) as raised:
        grouped()
    traceback = error_entry(raised.value)["traceback"]

    parts = shown(traceback).parts

    assert "\n".join(part.text for part in parts) == traceback.rstrip("\n")
    assert {Kind.OWN, Kind.FOREIGN, Kind.TEXT} == {part.kind for part in parts}
    [folded] = [part for part in parts if part.kind == Kind.FOREIGN]
    assert folded.frames == 3  # json/__init__.py, and twice json/decoder.py
    assert "JSONDecodeError" not in folded.text


@pytest.mark.parametrize(
    "text", ["", "\n", "no frame", 'File "', '  File "x", line 1, in y', "\x00\u202e"]
)
def test_any_text_is_shown(text: str) -> None:
    kept = shown(text)

    assert "\x00" not in "".join(part.text for part in kept.parts)
    assert not kept.left_out


def test_of_a_long_traceback_the_end_is_shown() -> None:
    kept = shown(TRACEBACK * 5_000)

    assert sum(len(part.text) for part in kept.parts) <= MAX_SHOWN
    assert kept.parts[-1].text.endswith("Refused: no\n  money")
    assert kept.left_out > len(TRACEBACK) * 4_000
