from datetime import timedelta
from typing import Any

from shop.orders import place_order
from shop.tasks import count_words


def test_the_words_of_an_order_are_counted(run_tasks: Any, assert_enqueued: Any) -> None:
    place_order("please ring twice")
    assert_enqueued(count_words, args=["please ring twice"])
    [result] = run_tasks()
    assert result.return_value == 3


def test_words_are_counted_when_it_is_time(run_tasks: Any, task_clock: Any) -> None:
    count_words.using(run_after=timedelta(days=1)).enqueue("see you tomorrow")
    assert run_tasks() == []
    task_clock.advance(days=1)
    assert len(run_tasks()) == 1
