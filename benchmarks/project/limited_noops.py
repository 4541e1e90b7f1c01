"""The no-op with limits and keys."""

from benchmarks.marks import Marker
from benchmarks.place import Place
from taskworks import Limit, Unique, task

mark = Marker(Place.here().marks)


@task(queue_name="limited", limit=Limit("of one key", by="key", at_once=500))
def of_1(number: int, word: str, key: int) -> int:
    mark(number)
    return number


@task(queue_name="limited", limit=Limit("of fifty keys", by="key", at_once=10))
def of_50(number: int, word: str, key: int) -> int:
    mark(number)
    return number


@task(queue_name="limited", limit=Limit("of many keys", by="key", at_once=2))
def of_10000(number: int, word: str, key: int) -> int:
    mark(number)
    return number


@task(queue_name="fenced", limit=Limit("of full keys", by="key", at_once=2))
def behind_full(number: int, word: str, key: int) -> int:
    mark(number)
    return number


@task(queue_name="limited", limit=Limit("rotation", by="key"))
def in_turn(number: int, word: str, key: int) -> int:
    mark(number)
    return number


@task(queue_name="limited", limit=Limit("one at once", at_once=1))
def one_at_once(number: int, word: str) -> int:
    mark(number)
    return number


@task(unique=Unique("number"))
def of_one_key(number: int, word: str) -> int:
    mark(number)
    return number
