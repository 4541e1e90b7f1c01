"""What a task tells of its progress, and what its worker takes of it, without a database."""

import asyncio
import threading
import time
from typing import Any

import pytest

from taskworks import TaskCancelled, TaskContext
from taskworks.context import entered
from taskworks.progress import MAX_PROGRESS, RunChannel
from tests.behaviour import Settings

HUGE = 10**30
TARGETS = [(0, 0), (5, 5), (-5, 0), (HUGE, MAX_PROGRESS), (-HUGE, 0), (2.9, 2), (True, 1), ("7", 7)]


class Odd:
    """What breaks whoever asks it for anything."""

    def __int__(self) -> int:
        raise RuntimeError("no number")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


NONSENSE = [float("nan"), float("inf"), float("-inf"), "many", None, [], object(), Odd(), 1j]


@pytest.fixture
def channel() -> RunChannel:
    return RunChannel()


@pytest.fixture
def context(channel: RunChannel) -> TaskContext:
    return TaskContext(task_result=None, _channel=channel)


class TestProgress:
    def test_is_unknown_at_first(self, channel: RunChannel) -> None:
        assert (channel.target, channel.progress) == (None, None)
        assert channel.take_changes() is None

    @pytest.mark.parametrize(("given", "kept"), TARGETS)
    def test_has_a_target(self, context: TaskContext, given: Any, kept: int) -> None:
        context.set_target(given)
        assert context._channel.target == kept
        assert type(context._channel.target) is int

    def test_may_lose_its_target(self, context: TaskContext, channel: RunChannel) -> None:
        context.set_target(5)
        context.set_target(None)
        context.set_progress(100)
        assert (channel.target, channel.progress) == (None, 100)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [*TARGETS[:3], (10, 10), (11, 10), (HUGE, 10), (-HUGE, 0), (9.9, 9), ("7", 7), (True, 1)],
    )
    def test_is_clamped_to_its_target(self, context: TaskContext, given: Any, kept: int) -> None:
        context.set_target(10)
        context.set_progress(given)
        assert context._channel.progress == kept
        assert type(context._channel.progress) is int

    @pytest.mark.parametrize(
        ("given", "kept"), [(HUGE, MAX_PROGRESS), (-HUGE, 0), (MAX_PROGRESS, MAX_PROGRESS)]
    )
    def test_is_clamped_to_what_a_column_holds(
        self, context: TaskContext, channel: RunChannel, given: int, kept: int
    ) -> None:
        context.set_progress(given)
        assert channel.progress == kept
        context.inc_progress(given)
        assert channel.progress == kept

    def test_counts_from_nothing(self, context: TaskContext, channel: RunChannel) -> None:
        context.inc_progress()
        assert channel.progress == 1
        context.inc_progress(5)
        context.inc_progress(-2)
        assert channel.progress == 4

    @pytest.mark.parametrize(("by", "kept"), [(3, 10), (-9, 0), (HUGE, 10), (-HUGE, 0), (1.9, 9)])
    def test_is_moved_within_its_bounds(
        self, context: TaskContext, channel: RunChannel, by: Any, kept: int
    ) -> None:
        context.set_target(10)
        context.set_progress(8)
        context.inc_progress(by)
        assert channel.progress == kept

    @pytest.mark.parametrize("by", [0, *NONSENSE], ids=lambda by: type(by).__name__)
    def test_is_left_where_it_is_by_nothing(
        self, context: TaskContext, channel: RunChannel, by: Any
    ) -> None:
        context.set_progress(8)
        context.inc_progress(by)
        assert channel.progress == 8

    def test_moved_by_nothing_begins(self, context: TaskContext, channel: RunChannel) -> None:
        context.inc_progress(0)
        assert channel.progress == 0

    def test_comes_down_to_a_smaller_target(
        self, context: TaskContext, channel: RunChannel
    ) -> None:
        context.set_progress(8)
        context.set_target(5)
        assert channel.progress == 5
        context.set_target(-1)
        assert (channel.target, channel.progress) == (0, 0)

    @pytest.mark.parametrize("given", NONSENSE, ids=lambda given: type(given).__name__)
    def test_of_nonsense_is_none_and_logged(
        self, context: TaskContext, given: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        context.set_progress(given)
        assert context._channel.progress == 0
        assert "Progress is counted in whole numbers, not in" in caplog.text

    def test_of_many_threads_is_their_sum(self, context: TaskContext, channel: RunChannel) -> None:
        def count() -> None:
            for _ in range(5000):
                context.inc_progress()

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert channel.progress == 20_000

    def test_costs_next_to_nothing(self, context: TaskContext, channel: RunChannel) -> None:
        calls: list[int] = []
        channel.on_change = lambda: calls.append(1)
        began = time.process_time()
        for _ in range(100_000):
            context.inc_progress()
        assert calls == [1]
        assert time.process_time() - began < 1  # 10 µs a call, so that a slow machine may pass


class TestMessages:
    def said(self, context: TaskContext, text: object, **options: Any) -> str:
        context.add_message(text, **options)
        kept: str = context._channel.messages[-1]["text"]
        return kept

    def test_have_a_time_a_level_and_a_text(self, context: TaskContext) -> None:
        context.add_message("hello")
        [message] = context._channel.messages
        assert (message["level"], message["text"]) == ("info", "hello")
        assert message["at"].startswith("20")

    @pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
    def test_have_one_of_four_levels(self, context: TaskContext, level: str) -> None:
        context.add_message("hello", level=level)
        assert context._channel.messages[0]["level"] == level

    @pytest.mark.parametrize(
        "level", ["fatal", "INFO", "", None, 20, [], Odd()], ids=lambda level: type(level).__name__
    )
    def test_of_an_unknown_level_are_informative(
        self, context: TaskContext, caplog: pytest.LogCaptureFixture, level: Any
    ) -> None:
        context.add_message("hello", level=level)
        assert context._channel.messages[0]["level"] == "info"
        assert "of a message is none of" in caplog.text

    @pytest.mark.parametrize(("given", "kept"), [(5, "5"), (None, "None"), ([1], "[1]"), ("", "")])
    def test_may_be_anything(self, context: TaskContext, given: object, kept: str) -> None:
        assert self.said(context, given) == kept

    def test_that_cannot_be_printed_say_so(self, context: TaskContext) -> None:
        assert self.said(context, Odd()) == "<a Odd that cannot be printed: RuntimeError>"

    def test_of_a_megabyte_are_cut(self, context: TaskContext) -> None:
        assert self.said(context, "x" * 2**20) == "x" * 999 + "…"
        assert self.said(context, "x" * 1001) == "x" * 999 + "…"
        assert self.said(context, "x" * 1000) == "x" * 1000

    @pytest.mark.parametrize("limit", [1, 2, 10])
    def test_are_as_long_as_the_setting_allows(
        self, context: TaskContext, settings: Settings, limit: int
    ) -> None:
        settings.TASKWORKS = {"MAX_MESSAGE_LENGTH": limit}
        assert self.said(context, "x" * 100) == "x" * (limit - 1) + "…"

    @pytest.mark.parametrize("character", ["\0", "\ud800"])
    def test_have_no_character_that_a_database_refuses(
        self, context: TaskContext, character: str
    ) -> None:
        text = self.said(context, f"a{character}b")
        assert character not in text
        assert text.startswith("a\\")
        text.encode()
        assert len(self.said(context, character * 5000)) == 1000

    def test_are_the_newest_so_many(self, context: TaskContext, settings: Settings) -> None:
        settings.TASKWORKS = {"MAX_MESSAGES": 3}
        for number in range(10):
            context.add_message(number)
        assert [entry["text"] for entry in context._channel.messages] == ["7", "8", "9"]

    def test_of_earlier_attempts_are_kept(self) -> None:
        before = [{"at": "", "level": "info", "text": "before"}]
        channel = RunChannel(before)
        TaskContext(task_result=None, _channel=channel).add_message("now")
        assert [entry["text"] for entry in channel.messages] == ["before", "now"]
        assert len(before) == 1


class TestMetadata:
    def test_is_its_own_to_change(self) -> None:
        given = {"a": [1]}
        channel = RunChannel(metadata=given)
        channel.metadata["a"].append(2)
        assert given == {"a": [1]}
        TaskContext(task_result=None, _channel=channel).set_progress(1)
        assert (channel.take_changes() or {})["metadata"] == {"a": [1]}

    def test_is_told_as_it_was_saved(self, channel: RunChannel) -> None:
        channel.on_change = lambda: None
        channel.metadata["a"] = [1]
        channel.save_metadata(lambda: None)
        channel.metadata["a"].append(2)
        assert (channel.take_changes() or {})["metadata"] == {"a": [1]}

    @pytest.mark.parametrize("value", [object(), {1: 2}, {1}, b"bytes"])
    def test_that_is_no_json_is_refused(self, channel: RunChannel, value: Any) -> None:
        channel.metadata["a"] = value
        with pytest.raises(TypeError, match=r"at metadata\['a'\]"):
            channel.save_metadata(lambda: None)
        assert channel.take_changes() is None

    @pytest.mark.parametrize("value", [float("nan"), "\0", "\ud800", 2**64, "x" * 2**20])
    def test_that_no_database_takes_is_refused(self, channel: RunChannel, value: Any) -> None:
        channel.metadata["a"] = value
        with pytest.raises(ValueError, match="metadata"):
            channel.save_metadata(lambda: None)
        assert channel.take_changes() is None

    def test_is_saved_when_it_is_written(self, context: TaskContext, channel: RunChannel) -> None:
        channel.on_change = lambda: None
        context.metadata["a"] = 1
        saving = threading.Thread(target=context.save_metadata)
        saving.start()
        while (columns := channel.take_changes()) is None:
            time.sleep(0.001)
        assert saving.is_alive()
        assert columns["metadata"] == {"a": 1}
        channel.confirm(channel.taken)
        saving.join(60)
        assert not saving.is_alive()

    def test_is_saved_at_once_where_nobody_writes(self, context: TaskContext) -> None:
        context.save_metadata()
        asyncio.run(context.asave_metadata())

    def test_is_waited_for_no_longer_when_nobody_writes_any_more(
        self, context: TaskContext, channel: RunChannel
    ) -> None:
        heard = threading.Event()
        channel.on_change = heard.set
        saving = threading.Thread(target=context.save_metadata)
        saving.start()
        assert heard.wait(60)
        channel.close()
        saving.join(60)
        assert not saving.is_alive()


class TestTheWorkersSide:
    @pytest.fixture
    def heard(self, channel: RunChannel) -> list[int]:
        heard: list[int] = []
        channel.on_change = lambda: heard.append(1)
        return heard

    def test_hears_of_the_first_change_until_it_has_looked(
        self, context: TaskContext, channel: RunChannel, heard: list[int]
    ) -> None:
        for number in range(1, 1000):
            context.set_progress(number)
        assert heard == [1]
        assert (channel.take_changes() or {})["progress"] == 999
        context.set_progress(1000)
        assert heard == [1, 1]

    def test_takes_nothing_twice(self, context: TaskContext, channel: RunChannel) -> None:
        channel.on_change = lambda: None
        context.set_progress(5)
        assert channel.take_changes() is not None
        assert channel.take_changes() is None

    def test_takes_again_what_could_not_be_written(
        self, context: TaskContext, channel: RunChannel, heard: list[int]
    ) -> None:
        context.set_progress(5)
        first = channel.take_changes()
        channel.untake_changes()
        assert channel.has_news
        assert channel.take_changes() == first
        channel.confirm(channel.taken)
        assert not channel.has_news

    def test_has_news_until_the_last_is_written(
        self, context: TaskContext, channel: RunChannel, heard: list[int]
    ) -> None:
        context.set_progress(1)
        channel.take_changes()
        context.set_progress(2)
        channel.confirm(channel.taken)
        assert channel.has_news
        assert (channel.take_changes() or {})["progress"] == 2

    def test_writes_no_more_than_progress_messages_and_metadata(
        self, context: TaskContext, channel: RunChannel, heard: list[int]
    ) -> None:
        context.set_target(2)
        assert set(channel.take_changes() or {}) == {"target", "progress", "messages", "metadata"}


class TestTwins:
    def test_do_the_same(self, channel: RunChannel, context: TaskContext) -> None:
        async def tell() -> None:
            await context.aset_target(10)
            await context.aset_progress(3)
            await context.ainc_progress(4)
            await context.ainc_progress()
            await context.aadd_message("hello", level="error")
            context.metadata["a"] = 1
            await context.asave_metadata()

        asyncio.run(tell())
        assert (channel.target, channel.progress) == (10, 8)
        assert [(m["level"], m["text"]) for m in channel.messages] == [("error", "hello")]
        assert (channel.take_changes() or {})["metadata"] == {"a": 1}

    def test_let_the_loop_go_on(self, channel: RunChannel, context: TaskContext) -> None:
        async def save_and_write() -> None:
            heard = asyncio.Event()
            loop = asyncio.get_running_loop()
            channel.on_change = lambda: loop.call_soon_threadsafe(heard.set)
            saving = asyncio.create_task(context.asave_metadata())
            await heard.wait()
            assert not saving.done()
            channel.take_changes()
            channel.confirm(channel.taken)
            await asyncio.wait_for(saving, 60)

        asyncio.run(save_and_write())


class TestTime:
    def test_is_unlimited_without_a_timeout(self, context: TaskContext) -> None:
        assert (context.deadline, context.remaining()) == (None, None)

    def test_runs_out(self) -> None:
        ends = time.monotonic() + 100
        context = TaskContext(task_result=None, _ends=ends)
        assert 100 >= (context.remaining() or 0) >= ends - time.monotonic()
        over = TaskContext(task_result=None, _ends=time.monotonic() - 1)
        assert over.remaining() == 0.0


class TestCancellation:
    def test_is_asked_for(self, context: TaskContext, channel: RunChannel) -> None:
        assert not context.cancel_requested
        context.raise_if_cancelled()
        channel.cancel_requested = True
        assert context.cancel_requested
        with pytest.raises(TaskCancelled, match=r"^The run was cancelled\.$"):
            context.raise_if_cancelled()

    def test_passes_a_tasks_own_handlers(self) -> None:
        assert not issubclass(TaskCancelled, Exception)


def test_a_context_is_current_for_as_long_as_it_is_entered(context: TaskContext) -> None:
    from taskworks import current_context

    inner = TaskContext(task_result=None)
    assert current_context() is None
    with entered(context):
        assert current_context() is context
        with entered(inner):
            assert current_context() is inner
        assert current_context() is context
    assert current_context() is None
