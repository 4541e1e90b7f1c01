"""Tests that take minutes, of which CI runs a sample: TASKWORKS_TEST_EVERY_CASE=1 runs them all."""

import os

import pytest

on_request = pytest.mark.skipif(
    "TASKWORKS_TEST_EVERY_CASE" not in os.environ, reason="TASKWORKS_TEST_EVERY_CASE is not set"
)
