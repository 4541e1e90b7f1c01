"""
What a worker logs if its project has configured no log for it: to standard error.

Without this, Python prints bare warnings, and Django 6 prints nothing at all unless DEBUG is on,
because the standard's logger has a handler that mails errors to ADMINS.
"""

import logging

from django.utils.log import AdminEmailHandler

from taskworks.execution import Cancelled
from taskworks.framework import LOGGER_NAME
from taskworks.logs import is_read, readers, steady_logger
from taskworks.recording.events import Attempts, Observer

OURS = "taskworks"
LIFE = "taskworks.worker"  # the start and the end of workers and supervisors, at INFO
LINE = "%(asctime)s %(levelname)s %(message)s"
TIME = "%Y-%m-%d %H:%M:%S"

logger = steady_logger(__name__)
standard = logging.getLogger(LOGGER_NAME)


def log_by_default(*, with_life: bool = False) -> bool:
    """
    Write warnings and failures of this process to standard error, and the start and the end of
    workers if it is to be ``with_life``. Return False, and do nothing, if the project has
    configured the root logger, one of ours, or the standard's.
    """
    if _is_configured():
        return False
    logging.getLogger(OURS).addHandler(_handler(logging.INFO))
    if with_life:
        logging.getLogger(LIFE).setLevel(logging.INFO)
    if _is_only_mailed():
        standard.addHandler(_handler(logging.ERROR))  # no lower: each run would cost a record
    return True


def _is_only_mailed() -> bool:
    return all(isinstance(log, AdminEmailHandler) for log in readers(standard, logging.ERROR))


def _handler(level: int) -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(LINE, TIME))
    return handler


def _is_configured() -> bool:
    root = logging.root
    if root.handlers or root.level != logging.WARNING:
        return True
    return any(_differs(logging.getLogger(name)) for name in _names_of_ours())


def _names_of_ours() -> list[str]:
    ours = {OURS, LOGGER_NAME}
    known = [*logging.root.manager.loggerDict]
    return [name for name in known if name in ours or name.startswith(f"{OURS}.")]


def _differs(log: logging.Logger) -> bool:
    """Return whether somebody has configured it: a new logger passes all to its parent."""
    return bool(log.handlers or log.level or not log.propagate)


class CancellationLog(Observer):
    """
    Logs cancelled runs beside the default log: ``taskworks.runs`` and the standard's logger are not
    read at INFO there, because they have records of each successful run as well.
    """

    def recorded(self, attempts: Attempts) -> None:
        for attempt in attempts:
            # With DEBUG, Django 6 reads the standard's.
            if isinstance(attempt.outcome, Cancelled) and not is_read(standard, logging.INFO):
                run = attempt.run
                logger.info("Run %s of %s: %s.", run.id, run.called_path, run.state)
