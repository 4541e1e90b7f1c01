"""A test that is cut off, as one that takes too long is, leaves no Celery worker to the next."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tasks
from tests.behavior import run_of, run_worker
from tests.connections import begin_elsewhere
from tests.engine import CELERY_POOL
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CELERY_POOL != "prefork", reason="A function in a thread cannot be ended."),
]


class CutOffError(BaseException):
    """Celery catches every Exception."""


@pytest.fixture
def cut_off_while_it_executes(tmp_path: Path) -> Iterator[None]:
    """Interrupt the main thread once a run has begun."""
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))

    def interrupt_main_thread() -> None:
        wait_for(lambda: run_of(result).state == "running", "it runs", timeout=100)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def cut_off(*_: object) -> None:
        raise CutOffError

    before = signal.signal(signal.SIGALRM, cut_off)
    watched = begin_elsewhere(interrupt_main_thread)
    yield
    watched.result(timeout=100)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("cut_off_while_it_executes")
def test_nothing_of_the_worker_is_left() -> None:
    with pytest.raises(CutOffError):
        run_worker()
    assert not multiprocessing.active_children()
    assert not [one for one in threading.enumerate() if one.name.startswith("taskworks-desk")]
