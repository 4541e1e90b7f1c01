"""What the tutorial says that Django logs of a run."""

import logging
import re

import pytest
from django.utils.module_loading import import_string

from taskworks.framework import LOGGER_NAME
from taskworks.testing import run_tasks
from tests.docs.pages import DOCS


@pytest.mark.django_db
def test_the_standard_logs_two_lines_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    page = (DOCS / "tutorial.md").read_text()
    [shown] = re.findall(r"```text\n(Task id=.*?)```", page, flags=re.DOTALL)
    result = import_string("shop.tasks.count_words").enqueue("to be or not to be")
    with caplog.at_level(logging.INFO, logger=LOGGER_NAME):
        run_tasks()
    logged = [record.getMessage() for record in caplog.records if record.name == LOGGER_NAME]
    assert logged == re.sub(r"id=\S+", f"id={result.id}", shown).splitlines()
