"""
Move runs that wait in the queue of another package: ``manage.py taskworks move``.

A source says what waits there, keeps everybody else from what is being moved, and removes what is
stored here. ``move`` does not lose a run, and does not store it twice, wherever it is interrupted.
"""

from taskworks.moving.ids import run_id_of_job

__all__ = ["run_id_of_job"]
