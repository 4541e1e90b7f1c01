"""The code of the pages on testing."""

import unittest

import pytest

from taskworks.testing import assert_enqueued, clock, run_tasks
from tests.docs.conftest import Capture, run, with_database
from tests.docs.pages import executes, reference

CASES = {
    "OrderTests": "shop/test_orders.py",
    "RateTests": "shop/test_rates.py",
    "InvoiceTests": "shop/test_invoices.py",
    "ApprovalTests": "shop/test_approval.py",
    "WaitTests": "shop/test_async.py",
    "FreezegunTests": "shop/test_frozen.py",
    "TimeMachineTests": "shop/test_frozen.py",
}


@pytest.fixture(autouse=True)
def _server_s_clock() -> None:
    """Not here: these tests have Python's clock, as those of a project."""


@executes(*dict.fromkeys(CASES.values()))
@with_database
@pytest.mark.parametrize("name", CASES)
def test_a_test_case_passes(name: str) -> None:
    case = run(CASES[name])[name]
    outcome = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(outcome)
    assert (outcome.errors, outcome.failures) == ([], [])
    assert outcome.testsRun > 0


@executes("shop/test_with_fixtures.py")
@pytest.mark.django_db
def test_tests_with_fixtures_pass() -> None:
    names = run("shop/test_with_fixtures.py")
    names["test_the_words_of_an_order_are_counted"](run_tasks, assert_enqueued)
    with clock() as moved:
        names["test_words_are_counted_when_it_is_time"](run_tasks, moved)


@executes("reference/testing.py")
@pytest.mark.django_db
def test_the_kit_shows_what_it_does(capsys: Capture) -> None:
    run("reference/testing.py")
    shown = capsys.readouterr().out
    assert shown.endswith("count_words SUCCESSFUL\ncharge FAILED\n")
    assert f"```text\n{shown}```" in reference("testing")
