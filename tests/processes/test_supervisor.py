"""Several worker processes under a supervisor: what becomes of them, and of their runs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.core.management import CommandError, call_command

import taskworks_health
from taskworks import TaskResult
from taskworks.conf import Conf
from taskworks.models import TaskRun, Worker
from taskworks.store import store
from taskworks.worker.supervision import supervisor as module
from tests import tasks
from tests.behavior import deadly
from tests.connections import begin_elsewhere
from tests.freezing import freeze
from tests.ports import free_port
from tests.processes.conftest import WorkerProcess
from tests.stopping import shelf
from tests.waiting import wait_for

DEFAULT_TIMES = {"DJANGO_SETTINGS_MODULE": "tests.processes.patient"}
UNHURRIED = {"DJANGO_SETTINGS_MODULE": "tests.stopping.unhurried"}
STORM = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM]


class Supervised:
    """A supervisor, and the workers under it."""

    def __init__(self, supervisor: WorkerProcess, number: int) -> None:
        self.supervisor, self.number = supervisor, number
        self.pid = supervisor.process.pid

    def wait_until_up(self) -> "Supervised":
        wait_for(lambda: len(self.pids()) == self.number, "all workers have registered")
        return self

    def pids(self) -> set[int]:
        """Of the workers that live, by their rows."""
        return {*Worker.objects.living().values_list("pid", flat=True)}

    def processes(self) -> set[int]:
        """All that it has started, and what these have, but itself."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--sid", str(self.pid)], stdout=subprocess.PIPE, check=False
        )
        return {int(pid) for pid in listed.stdout.split()} - {self.pid}

    def end(self) -> None:
        self.supervisor.process.kill()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


Supervise = Callable[..., Supervised]


@pytest.fixture
def supervise(start_worker: Callable[..., WorkerProcess]) -> Iterator[Supervise]:
    started: list[Supervised] = []

    def supervise(*arguments: str, number: int = 2, **environment: str) -> Supervised:
        environment = {**DEFAULT_TIMES, **environment}
        worker = start_worker("--processes", str(number), *arguments, **environment)
        started.append(Supervised(worker, number))
        return started[-1]

    yield supervise
    for supervised in started:
        supervised.end()


def state_of(result: TaskResult) -> str:
    return TaskRun.objects.get(id=result.id).state


def wait_for_state(result: TaskResult, state: str) -> TaskRun:
    wait_for(lambda: state_of(result) == state, f"{result.id} is {state}")
    return TaskRun.objects.get(id=result.id)


def holder(result: TaskResult) -> Worker:
    """The worker that executes it."""
    run = wait_for_state(result, "running")
    return Worker.objects.get(id=run.claimed_by)


def test_each_process_is_a_worker_and_each_run_is_executed_once(
    supervise: Supervise, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    supervised = supervise().wait_until_up()
    assert supervised.pids() == supervised.processes()
    for number in range(100):
        tasks.note.enqueue(str(ledger), str(number))
    wait_for(lambda: TaskRun.objects.successful().count() == 100, "all have ended")
    assert sorted(map(int, ledger.read_text().split())) == [*range(100)]
    supervised.supervisor.send(signal.SIGTERM)
    assert supervised.supervisor.wait() == 0
    assert not Worker.objects.exists()


def test_the_runs_of_a_killed_process_are_executed_at_once_and_another_takes_its_place(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervised = supervise().wait_until_up()
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    killed = holder(result)
    os.kill(killed.pid, signal.SIGSTOP)  # or it might end the run before it dies
    (tmp_path / "go").touch()
    begun = store().read_clock()
    os.kill(killed.pid, signal.SIGKILL)
    run = wait_for_state(result, "successful")
    back_after = (run.available_at - begun).total_seconds()
    print(f"ready again {back_after:.2f} s after kill -9")
    # Sooner than it could have been given up for its silence.
    assert 0 <= back_after < Conf().worker_timeout - Conf().heartbeat_interval
    assert run.attempts == 2
    wait_for(
        lambda: len(supervised.pids()) == 2 and killed.pid not in supervised.pids(),
        "another has taken its place",
    )
    supervised.supervisor.send(signal.SIGTERM)
    assert "; another takes its place now." in supervised.supervisor.output()


def test_each_process_has_a_file_and_a_port(supervise: Supervise, tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "worker.json"
    probed = "--heartbeat-file", str(file), "--health-port", f"127.0.0.1:{port}"
    supervise(*probed)
    told = ["--file", str(file), "--processes", "2"]
    wait_for(lambda: taskworks_health.main(told) == 0, "both have written")
    for number in range(2):
        with urlopen(f"http://127.0.0.1:{port + number}/livez") as answer:
            assert answer.read() == b"alive\n"
    second = tmp_path / "worker.json.2"
    killed = json.loads(second.read_text())["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: second.exists() and f'"pid": {killed},' not in second.read_text(), "another")
    wait_for(lambda: taskworks_health.main(told) == 0, "it has the number of the killed one")


def test_a_supervisor_has_no_connection_while_nobody_dies(supervise: Supervise) -> None:
    supervised = supervise().wait_until_up()
    descriptors = Path(f"/proc/{supervised.pid}/fd")
    links = [os.readlink(link) for link in descriptors.iterdir()]
    # A pipe to each child is a socket too.
    assert sum(link.startswith("socket:") for link in links) == supervised.number
    assert not any("sqlite" in link for link in links)


def test_a_killed_supervisor_takes_no_run_with_it_and_leaves_no_orphan(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervised = supervise().wait_until_up()
    running = [tasks.wait_for_file.enqueue(str(tmp_path / "go")) for _ in range(6)]
    for result in running:
        wait_for_state(result, "running")
    supervised.supervisor.send(signal.SIGKILL)
    for _ in range(supervised.number):
        supervised.supervisor.wait_for_line("Shutting down: ")
    later = tasks.noop.enqueue()
    (tmp_path / "go").touch()
    wait_for(lambda: not supervised.processes(), "all have gone")
    assert {state_of(result) for result in running} == {"successful"}
    assert {run.attempts for run in TaskRun.objects.successful()} == {1}
    assert state_of(later) == "ready"
    assert not Worker.objects.exists()


def test_the_first_signal_lets_runs_finish(supervise: Supervise, tmp_path: Path) -> None:
    supervised = supervise().wait_until_up()
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_for_state(result, "running")
    supervised.supervisor.send(signal.SIGTERM)
    supervised.supervisor.wait_for_line("Shutting down: waiting for 1 running task")
    (tmp_path / "go").touch()
    assert supervised.supervisor.wait() == 0
    assert (state_of(result), supervised.processes()) == ("successful", set())
    assert not Worker.objects.exists()


def test_a_signal_to_every_process_is_one(supervise: Supervise, tmp_path: Path) -> None:
    supervised = supervise().wait_until_up()
    results = [tasks.wait_for_file.enqueue(str(tmp_path / "go")) for _ in range(8)]
    for result in results:
        wait_for_state(result, "running")
    for pid in [*supervised.processes(), supervised.pid]:
        os.kill(pid, signal.SIGTERM)
    for _ in range(supervised.number):
        supervised.supervisor.wait_for_line("Shutting down: waiting for 4 running tasks")
    (tmp_path / "go").touch()
    assert supervised.supervisor.wait() == 0
    assert {state_of(result) for result in results} == {"successful"}


def test_a_storm_of_signals_is_one_release(supervise: Supervise, tmp_path: Path) -> None:
    supervised = supervise(**UNHURRIED).wait_until_up()
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    wait_for_state(result, "running")
    for number in STORM:
        supervised.supervisor.send(number)
    output = supervised.supervisor.output()
    assert supervised.supervisor.wait() == 0
    assert "Traceback" not in output
    run = TaskRun.objects.get(id=result.id)
    assert (run.state, run.attempts) == ("ready", 0)
    assert not Worker.objects.exists()
    assert not supervised.processes()


def test_signals_reach_processes_that_have_just_been_started(supervise: Supervise) -> None:
    supervised = supervise()
    supervised.supervisor.wait_for_line("The supervisor")
    wait_for(lambda: len(supervised.processes()) == 2, "they are started")
    for number in STORM:
        supervised.supervisor.send(number)
    assert "Traceback" not in supervised.supervisor.output()
    assert supervised.supervisor.wait() == 0
    assert not Worker.objects.exists()


def test_a_process_that_somebody_stops_is_replaced(supervise: Supervise) -> None:
    supervised = supervise().wait_until_up()
    first = min(supervised.pids())
    os.kill(first, signal.SIGTERM)
    wait_for(
        lambda: first not in supervised.pids() and len(supervised.pids()) == 2, "it is replaced"
    )


@pytest.mark.any_database
def test_a_process_that_ends_soon_is_replaced_ever_more_slowly() -> None:
    slot = module.WorkerSlot()
    assert [slot.plan(age=0.3) for _ in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert not slot.is_due
    assert slot.plan(age=module.SHORT_LIFE) == 0
    assert slot.is_due


def test_processes_that_cannot_start_are_tried_again_until_they_can(
    supervise: Supervise, tmp_path: Path
) -> None:
    broken, starts = tmp_path / "broken", tmp_path / "starts"
    (tmp_path / "breaking.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from tests.processes.patient import *\n"
        f"with Path({str(starts)!r}).open('a') as file:\n"
        "    file.write('.')\n"
        f"if Path({str(broken)!r}).exists():\n"
        "    os._exit(7)\n"
    )
    supervised = supervise(
        DJANGO_SETTINGS_MODULE="breaking", PYTHONPATH=str(tmp_path)
    ).wait_until_up()
    broken.touch()
    before = len(starts.read_text())
    killed = min(supervised.pids())
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(starts.read_text()) >= before + 4, "it is tried four times")
    # The other one works, and when it is whole again, so does this one.
    assert wait_for_state(tasks.noop.enqueue(), "successful").attempts == 1
    broken.unlink()
    wait_for(lambda: len(supervised.pids()) == 2, "it has started")


def test_if_none_can_start_the_supervisor_says_so_by_its_exit_code(
    supervise: Supervise, tmp_path: Path
) -> None:
    (tmp_path / "refusing.py").write_text(
        "from tests.settings import *\n"
        "TASKS = {**TASKS, 'broken': {**TASKS['default'],\n"
        "    'OPTIONS': {'TASK_DEFAULTS': {'timeout': -1}}}}\n"
    )
    supervised = supervise(DJANGO_SETTINGS_MODULE="refusing", PYTHONPATH=str(tmp_path))
    assert "SystemCheckError" in supervised.supervisor.output()
    assert supervised.supervisor.wait() == 1
    assert not supervised.processes()


def test_a_worker_that_begins_anew_keeps_its_supervisor(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervised = supervise(**UNHURRIED).wait_until_up()
    result = shelf.sleep_for_ever.using(timeout=0.5).enqueue()
    first = holder(result)
    wait_for_state(result, "failed")
    renewed = wait_for(
        lambda: Worker.objects.living().filter(pid=first.pid).exclude(id=first.id).first(),
        "it has begun anew, under the same pid",
    )
    wait_for(lambda: Worker.objects.count() == 2, "nobody has taken its place")
    # Its death is noticed as ever, by its new id.
    (other,) = supervised.pids() - {first.pid}
    freeze(other)
    again = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    assert holder(again).id == renewed.id
    os.kill(other, signal.SIGCONT)
    os.kill(first.pid, signal.SIGKILL)
    soon = Conf().worker_timeout - Conf().heartbeat_interval - 1  # who is silent may be given up
    wait_for(lambda: TaskRun.objects.get(id=again.id).attempts == 2, "it runs again", soon)
    # And so is its supervisor's.
    supervised.supervisor.send(signal.SIGKILL)
    (tmp_path / "go").touch()
    wait_for(lambda: not supervised.processes(), "all have gone")
    assert state_of(again) == "successful"


def test_a_renewed_worker_sees_the_end_of_its_supervisor(supervise: Supervise) -> None:
    supervised = supervise(**UNHURRIED).wait_until_up()
    result = shelf.sleep_for_ever.using(timeout=0.5).enqueue()
    first = holder(result)
    wait_for(
        Worker.objects.living().filter(pid=first.pid).exclude(id=first.id).exists,
        "it has begun anew",
    )
    supervised.supervisor.send(signal.SIGKILL)
    wait_for(lambda: not supervised.processes(), "all have gone")
    assert not Worker.objects.exists()


def test_a_batch_ends_when_all_have_ended(supervise: Supervise, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for number in range(50):
        tasks.note.enqueue(str(ledger), str(number))
    supervised = supervise("--batch")
    assert supervised.supervisor.wait() == 0
    assert sorted(map(int, ledger.read_text().split())) == [*range(50)]
    assert not supervised.processes()


def test_each_process_ends_after_its_own_number_of_runs(supervise: Supervise) -> None:
    for _ in range(10):
        tasks.noop.enqueue()
    supervised = supervise("--max-tasks", "3")
    assert supervised.supervisor.wait() == 0
    assert TaskRun.objects.successful().count() == 6


@pytest.mark.any_database
def test_a_process_that_does_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "KILL_AFTER", 0.2)
    settings.TASKWORKS = {"SHUTDOWN_TIMEOUT": 0.1}
    deaf = tmp_path / "deaf"
    supervisor = module.Supervisor(
        store(),
        [
            sys.executable,
            "-c",
            "import pathlib, signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            f"pathlib.Path({str(deaf)!r}).touch()\n"
            "time.sleep(600)",
        ],
        number=1,
        end_by_themselves=False,
    )

    def stop() -> None:
        wait_for(deaf.exists, "it has begun")
        supervisor.stop()
        os.kill(os.getpid(), signal.SIGCHLD)  # as a signal does, it wakes the supervisor

    stopping = begin_elsewhere(stop)
    assert supervisor.run() == 1
    stopping.result(timeout=60)


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"processes": 2}, "on the command line"),
        ({"processes": 2, "reload": True}, "several --processes"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("taskworks", "worker", **arguments)


def test_a_task_that_ends_its_process_as_if_all_were_well_is_noticed_at_once(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervised = supervise(**DEFAULT_TIMES).wait_until_up()
    result = deadly.leave_with_0_once.enqueue(str(tmp_path / "left"))
    # Long before it would have been silent for long enough.
    wait_for((tmp_path / "left").exists, "it has begun")
    wait_for(lambda: state_of(result) == "successful", "another has executed it", timeout=25)
    assert TaskRun.objects.get(id=result.id).executor == "alone"
    wait_for(lambda: len(supervised.pids()) == 2, "its process is replaced")
