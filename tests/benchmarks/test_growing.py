"""What is measured with more workers and with two shards, and what is left out is said."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.figures import Figures, Gap, Key
from benchmarks.marks import FORM
from benchmarks.measures import drain, growing
from benchmarks.pairs.ratios import Cost, Pair
from benchmarks.place import VARIABLE, Place

pytestmark = pytest.mark.any_database

TASKS = 100
SHARDS = "taskworks-shards"


class Alone(Benchmark):
    """Has no contenders, so that only shards are measured."""

    @contextmanager
    def group(self, *of: object, **options: object) -> Iterator[list[Any]]:
        yield []


def benchmark(store: str, files: Path, systems: Sequence[str] = ("taskworks",)) -> Benchmark:
    return Alone([*systems], [store], rounds=2, scale=0.5, files=files, figures=Figures())


def supervisor_of(*pids: int) -> list[str]:
    """Return a command that leaves the marks of so many processes, in turns, and goes on."""
    marks = b"".join(FORM.pack(n, pids[n % len(pids)], n / 100) for n in range(TASKS))
    code = (
        f"import json, os, pathlib, signal; place = json.loads(os.environ[{VARIABLE!r}]); "
        "title = '-'.join([place['system'], place['store']]); "
        f"pathlib.Path(place['files'], 'marks', title).write_bytes({marks!r}); signal.pause()"
    )
    return [sys.executable, "-c", code]


def contender(files: Path) -> Any:
    """Return one whose own command would fail."""
    place = Place(system="none", store="rabbitmq", files=str(files))
    return SimpleNamespace(
        place=place,
        log=files / "log",
        system=SimpleNamespace(command=["false"]),
        client=SimpleNamespace(call=lambda method, *_: 1.1 if method == "await_done" else None),
    )


def test_one_command_starts_all_workers_and_each_must_have_begun(tmp_path: Path) -> None:
    one = contender(tmp_path)
    assert drain.rate(one, TASKS, 4, supervised=supervisor_of(1, 2, 3, 4)) == pytest.approx(89)
    with pytest.raises(NotMeasuredError, match="only 3 of 4 workers"):
        drain.rate(one, TASKS, 4, supervised=supervisor_of(1, 2, 3))


def test_workers_are_measured_on_the_same_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def rate(_: object, size: int, workers: int, supervised: Sequence[str] = ()) -> float:
        asked.append((size, workers, [*supervised]))
        return workers * 1000.0

    monkeypatch.setattr(drain, "rate", rate)
    figures = growing._of_workers(benchmark("mariadb", tmp_path), contender(tmp_path))
    assert figures == {"1 worker": 1000, "2 workers": 2000, "4 processes": 4000}
    assert asked == [
        (20_000, 1, []),
        (20_000, 2, []),
        (20_000, 4, ["false", "--processes", "4"]),
    ]


def test_two_shards_are_noted_beside_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Cost(wall=250, backend=100), Cost(wall=200, backend=101)

    def beside_one(size: int, number: int) -> list[Pair]:
        assert size == 5000
        return [Pair(usual=one, measured=two)] * number

    @contextmanager
    def running_shards(files: Path, worker: str) -> Iterator[Any]:
        place = Place(system=SHARDS, store="postgresql", files=str(files))
        named = SimpleNamespace(name=SHARDS, place=place)
        yield SimpleNamespace(beside_one=beside_one, site=SimpleNamespace(contender=named))

    monkeypatch.setattr(growing.shards, "running_shards", running_shards)
    measured = benchmark("postgresql", tmp_path)
    growing.measure(measured)
    assert measured.figures.values == {
        Key("growing", name, SHARDS, "postgresql"): values
        for name, values in {
            "1 shard": [4000, 4000],
            "1 shard, server CPU µs": [100, 100],
            "2 shards": [5000, 5000],
            "2 shards, server CPU µs": [101, 101],
        }.items()
    }


def test_where_no_server_can_be_started_shards_are_left_out_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = benchmark("mariadb", tmp_path)
    growing.measure(measured)
    reason = "only PostgreSQL has servers of its own here"
    assert measured.figures.gaps == [Gap("growing", SHARDS, "mariadb", reason)]
    assert reason in capsys.readouterr().out


def test_shards_of_other_systems_are_not_measured(tmp_path: Path) -> None:
    measured = benchmark("mariadb", tmp_path, systems=["bare"])
    growing.measure(measured)
    assert not measured.figures.gaps
