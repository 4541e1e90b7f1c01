"""Tests that take minutes, of which CI runs a sample: TASKWORKS_TEST_EVERY_CASE=1 runs them all."""

import pytest

from tests.effort import EVERY_CASE

on_request = pytest.mark.skipif(not EVERY_CASE, reason="TASKWORKS_TEST_EVERY_CASE is not set")
