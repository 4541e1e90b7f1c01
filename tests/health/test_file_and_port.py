"""What a worker tells probes: by a file, with the program that reads it, and by a port."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import taskworks_health
from taskworks import task_backends
from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.heartbeat_file import HeartbeatFile
from taskworks.worker.probes import Probes
from taskworks.worker.pulse import Pulse
from tests import tasks
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

Capture = pytest.CaptureFixture[str]
LOCAL = "127.0.0.1"


def told(*arguments: Any) -> int:
    return taskworks_health.main([str(argument) for argument in arguments])


@contextmanager
def working(probes: Probes) -> Iterator[Worker]:
    worker = Worker(
        task_backends["default"],
        Options(queues=Queues(None), interval=0.02, label="probed"),
        probes=probes,
    )
    running = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: WorkerRow.objects.living().exists() or running.done(), "it registers")
        yield worker
    finally:
        tasks.gate.set()
        worker.stop()
        worker.stop()
        running.result(timeout=60)
        tasks.gate.clear()


def answer(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection(LOCAL, port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        assert response.headers["Server"] == "taskworks "
        return response.status, response.read().decode().strip()
    finally:
        connection.close()


@pytest.mark.thorough_on_servers
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_lives_says_so_until_it_ends(
    tmp_path: Path, capsys: Capture, settings: Any
) -> None:
    unhurried = {"WORKER_TIMEOUT": 600.0, "SHUTDOWN_TIMEOUT": 600.0}
    settings.TASKWORKS = {**settings.TASKWORKS, **unhurried}
    path = tmp_path / "worker.json"
    probes = Probes(str(path), (LOCAL, 0))
    assert probes.server
    port = probes.server.port
    assert answer(port, "/livez") == (200, "alive")
    assert answer(port, "/startupz") == (503, "the worker has not registered yet")
    assert answer(port, "/readyz") == (503, "no heartbeat has reached the database lately")
    with working(probes) as worker:
        wait_for(path.exists, "it writes its file")
        first = path.read_text()
        wait_for(lambda: path.read_text() != first, "it writes it again")
        assert told("--file", path) == 0
        output = capsys.readouterr().out
        assert output.startswith(f"The worker 'probed' (pid {os.getpid()}) lives: its loop and its")
        for probe, word in (
            ("/livez", "alive"),
            ("/readyz", "ready"),
            ("/startupz?x=1", "started"),
        ):
            assert answer(port, probe) == (200, word)
        assert answer(port, "/livez", "HEAD") == (200, "")
        assert answer(port, "/admin")[0] == 404
        assert answer(port, "/livez", "POST")[0] == 501
        tasks.wait_for_gate.enqueue()
        wait_for(lambda: TaskRun.objects.filter(state="running").exists(), "it executes")
        worker.stop()
        wait_for(lambda: answer(port, "/readyz") == (503, "the worker is stopping"), "it drains")
        assert answer(port, "/livez") == (200, "alive")
        wait_for(lambda: json.loads(path.read_text())["is_ending"], "its file says so")
        assert told("--file", path) == 0
    assert not path.exists()
    assert [*tmp_path.iterdir()] == []
    assert told("--file", path) == 1
    assert "the worker has not begun, or has ended" in capsys.readouterr().err
    with pytest.raises(ConnectionRefusedError):
        answer(port, "/livez")


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("loop", "heartbeat", "is_written"),
    [(0, 0, True), (99, 0, False), (0, 99, False)],
)
def test_the_file_is_written_only_while_loop_and_heartbeat_succeed(
    tmp_path: Path, loop: float, heartbeat: float, is_written: bool, settings: Any
) -> None:
    settings.TASKWORKS = {"WORKER_TIMEOUT": 30.0}
    pulse = Pulse()
    file = HeartbeatFile(str(tmp_path / "f"), pulse)
    file.write("too early")
    pulse.turn()
    pulse.beat()
    pulse._turned_at -= loop
    pulse._beaten_at -= heartbeat
    file.write("w")
    assert (tmp_path / "f").exists() is is_written
    assert (pulse.turns, pulse.beats, pulse.has_begun) == (loop == 0, heartbeat == 0, True)


@pytest.mark.any_database
def test_a_file_that_cannot_be_written(tmp_path: Path, caplog: Any) -> None:
    with pytest.raises(CommandError) as error:
        call_command("taskworks", "worker", heartbeat_file=str(tmp_path / "no" / "such"))
    assert error.value.returncode == 2
    assert "--heartbeat-file" in str(error.value)
    assert "No such file or directory" in str(error.value)
    victim, path = tmp_path / "victim", tmp_path / "f"
    victim.write_text("theirs")
    (tmp_path / f"f.{os.getpid()}.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        HeartbeatFile(str(path), Pulse())
    assert victim.read_text() == "theirs"
    pulse = Pulse()
    folder = tmp_path / "gone"
    folder.mkdir()
    file = HeartbeatFile(str(folder / "f"), pulse)
    folder.rmdir()
    pulse.beat()
    file.write("w")
    file.write("w")
    assert caplog.text.count("The heartbeat file cannot be written") == 1


@pytest.mark.any_database
def test_a_port_that_is_taken_or_none() -> None:
    probes = Probes(address=(LOCAL, 0))
    assert probes.server
    try:
        with pytest.raises(CommandError) as error:
            call_command("taskworks", "worker", health_port=f"{LOCAL}:{probes.server.port}")
        assert error.value.returncode == 2
        assert "Address already in use" in str(error.value)
    finally:
        probes.end(goes_on=False)
    for port in ("x", "70000", "1.2.3.4:", "-1"):
        with pytest.raises(CommandError, match="must be a port"):
            call_command("taskworks", "worker", health_port=port)


# The program that reads the file.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "worker.json"
    write(path, age=3)
    return path


def write(path: Path, age: float, **changed: Any) -> None:
    content = {
        "worker": "web\n1",
        "pid": 7,
        "monotonic": time.monotonic() - age,
        "boot": taskworks_health.boot(),
        "max_age": 30.0,
        **changed,
    }
    path.write_text(json.dumps(content))


@pytest.mark.any_database
class TestProgram:
    def test_healthy_and_too_old(self, file: Path, capsys: Capture) -> None:
        assert told(f"--file={file}") == 0
        assert "The worker 'web\\n1' (pid 7) lives: its loop" in capsys.readouterr().out
        assert told("--file", file, "--max-age", "2") == 1
        error = capsys.readouterr().err
        assert "seems to be dead, or its database does not answer" in error
        assert "may be 2 s old." in error
        write(file, age=31)
        assert told("--file", file) == 1
        assert told("--file", file, "--max-age", 60) == 0

    @pytest.mark.skipif(not taskworks_health.boot(), reason="nothing tells starts apart here")
    def test_a_clock_that_was_set_does_not_matter(self, file: Path) -> None:
        for moment in (0, time.time() - 7200, time.time() + 7200):
            os.utime(file, (moment, moment))
            assert told("--file", file) == 0

    def test_a_file_from_before_a_restart_goes_by_its_time(
        self, file: Path, capsys: Capture
    ) -> None:
        write(file, age=3, boot="another")
        assert told("--file", file) == 0
        os.utime(file, (1000, 1000))
        assert told("--file", file) == 1
        later = time.time() + 1000
        os.utime(file, (later, later))
        assert told("--file", file) == 1
        assert "at a time that has not come yet" in capsys.readouterr().err

    @pytest.mark.parametrize("text", ["", "[]", "{", "nonsense", '"x"', "9" * 5000, "[" * 60000])
    def test_a_file_that_no_worker_wrote(self, file: Path, text: str, capsys: Capture) -> None:
        file.write_text(text)
        assert told("--file", file) == 2
        assert "does not have what a worker writes" in capsys.readouterr().err

    def test_a_file_that_cannot_be_read(self, tmp_path: Path, file: Path, capsys: Capture) -> None:
        assert told("--file", tmp_path) == 2
        assert "cannot be read: [Errno 21]" in capsys.readouterr().err
        file.write_bytes(b"\xff\xfe")
        assert told("--file", file) == 2

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([], "--file is required."),
            (["--file"], "--file needs a value."),
            (["--fil", "x"], "taskworks-health has no option '--fil'."),
            (["--file", "x", "--max-age", "soon"], "--max-age must be a positive number"),
            (["--file", "x", "--max-age=0"], "--max-age must be a positive number, not '0'."),
            (["--file", "x", "--max-age=nan"], "--max-age must be a positive number, not 'nan'."),
            (["--file", "x", "--processes=1.5"], "--processes must be a positive number"),
        ],
    )
    def test_bad_arguments(self, arguments: list[str], says: str, capsys: Capture) -> None:
        assert told(*arguments) == 2
        assert says in capsys.readouterr().err

    def test_several_processes_must_all_live(self, tmp_path: Path, capsys: Capture) -> None:
        for number in (1, 2):
            write(tmp_path / f"w.{number}", age=1)
        assert told("--file", tmp_path / "w", "--processes", 2) == 0
        assert told("--file", tmp_path / "w", "--processes", 3) == 1
        assert "w.3'" in capsys.readouterr().err

    def test_help(self, capsys: Capture) -> None:
        assert told("--help") == 0
        assert "exit codes: 0 healthy, 1 not healthy, 2 cannot tell" in capsys.readouterr().out

    def test_it_imports_next_to_nothing(self, file: Path) -> None:
        source = Path(taskworks_health.__file__)
        code = (
            "import sys; before = {*sys.modules}; import taskworks_health; "
            "assert taskworks_health.main(sys.argv[1:]) == 0; "
            "print(*sorted({*sys.modules} - before))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "--file", str(file)],
            env={**os.environ, "PYTHONPATH": str(source.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        modules = done.stdout.splitlines()[-1].split()
        assert "taskworks_health" in modules
        foreign = {name.partition(".")[0] for name in modules} & {
            "django",
            "taskworks",
            "argparse",
            "re",
            "logging",
        }
        assert foreign <= {"re"}  # of json
        assert len(modules) < 40
