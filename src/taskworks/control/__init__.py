"""
Pause, resume and clear queues, tasks, limits and keys, drain queues, change limits, stop workers,
retry groups of failures, act on all runs that a filter means, and say why a run waits.

A pause is a row. It applies to every worker, whenever that was started, until somebody ends it or
its time is over. Runs that have begun continue; runs that wait keep their places.

Names that need models are imported when they are used, because modules of tasks may be imported
before models are ready.
"""

from taskworks.control.failures import (
    aannotate_failures,
    amute_failures,
    annotate_failures,
    aretry_failures,
    mute_failures,
    retry_failures,
)
from taskworks.control.limits import achange_limit, change_limit
from taskworks.control.matching_runs import (
    aact_in_background,
    acancel_runs,
    act_in_background,
    adelete_runs,
    amove_runs,
    apreview_runs,
    aretry_runs,
    arun_now,
    cancel_runs,
    delete_runs,
    move_runs,
    preview_runs,
    retry_runs,
    run_now,
)
from taskworks.control.one_run import aretry_with, awhy_waiting, retry_with, why_waiting
from taskworks.control.pausing import Until as Until  # may be imported from here, too
from taskworks.control.pausing import apause, apauses, aresume, pause, pauses, resume
from taskworks.control.queues import aclear, adrain, clear, drain
from taskworks.control.workers import astop_worker, stop_worker

__all__ = [
    "aact_in_background",
    "aannotate_failures",
    "acancel_runs",
    "achange_limit",
    "aclear",
    "act_in_background",
    "adelete_runs",
    "adrain",
    "amove_runs",
    "amute_failures",
    "annotate_failures",
    "apause",
    "apauses",
    "apreview_runs",
    "aresume",
    "aretry_failures",
    "aretry_runs",
    "aretry_with",
    "arun_now",
    "astop_worker",
    "awhy_waiting",
    "cancel_runs",
    "change_limit",
    "clear",
    "delete_runs",
    "drain",
    "move_runs",
    "mute_failures",
    "pause",
    "pauses",
    "preview_runs",
    "resume",
    "retry_failures",
    "retry_runs",
    "retry_with",
    "run_now",
    "stop_worker",
    "why_waiting",
]
