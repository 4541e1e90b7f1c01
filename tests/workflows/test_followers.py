"""If very many runs follow one, a worker unblocks them in parts, between other work."""

import pytest

from taskworks import Workflow
from taskworks.database.clock import DatabaseClock
from taskworks.duties import unblock
from taskworks.duties.unblock import Followers
from taskworks.execution import Attempt, prepare
from taskworks.models import RunState, TaskRun
from taskworks.store import Store
from tests.workflows.tasks import step


def test_they_are_unblocked_in_parts_and_none_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unblock, "CHUNK", 2)
    monkeypatch.setattr(unblock, "MAX_LOOK", 0.0)
    flow = Workflow("wide")
    flow.add("early", step, "early")
    flow.add("after early", step, "after early", after="early")  # its edge is the oldest
    flow.add("split", step, "split")
    flow.each("group", step, [[str(number)] for number in range(5)], after="split")
    result = flow.enqueue()
    followers, unblocked = Followers(store), [0]

    def ended(name: str) -> None:
        one = result.step(name).task_result
        assert one
        TaskRun.objects.filter(id=one.id).update(
            state=RunState.SUCCESSFUL, finished_at=DatabaseClock()
        )
        attempt = Attempt(TaskRun.objects.get(id=one.id), "a label")
        prepare(attempt)
        followers.recorded([attempt])

    ended("split")
    assert followers.unblock()
    ended("early")
    while followers.may_have_more:
        unblocked.append(result.counts()["ready"])
        followers.unblock()
    assert unblocked == [0, 2, 4, 5]
    assert result.counts() == {"successful": 2, "ready": 6}
