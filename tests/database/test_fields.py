"""What columns that hold JSON read from many rows at once."""

from typing import Any

import pytest

from taskworks.database.fields import JSONTextField
from taskworks.models import TaskRun, readable

ALIKE = '{"taskworks.group":"0123"}'


def field_with(holds: Any) -> JSONTextField:
    field = JSONTextField(default=dict, holds=holds)
    field.set_attributes_from_name("metadata")
    return field


def test_what_is_alike_is_checked_once_and_shared_by_none() -> None:
    checked: list[Any] = []

    def holds(value: Any) -> bool:
        checked.append(value)
        return readable.metadata(value)

    texts = [ALIKE, "{}", ALIKE, None, '{"a":1}', ALIKE]
    first, empty, second, none, other, third = field_with(holds).read_all(texts)
    assert first == second == third == {"taskworks.group": "0123"}
    assert len({id(first), id(second), id(third)}) == 3
    assert (empty, none, other) == ({}, None, {"a": 1})
    assert len(checked) == 2


def test_what_is_no_metadata_is_refused_however_often_it_is_there() -> None:
    field: Any = TaskRun._meta.get_field("metadata")
    for texts in (["[1]", "[1]"], [ALIKE, "[1]", ALIKE], ['{"a":"\\u0000"}'] * 2):
        with pytest.raises(ValueError, match="metadata must not hold"):
            field.read_all(texts)
