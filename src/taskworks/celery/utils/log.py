"""Celery's loggers of tasks."""

import logging

_parent = logging.getLogger("celery.task")


def get_task_logger(name: str) -> logging.Logger:
    """
    Return the logger with this name, below "celery.task" as Celery has it, so that what
    ``LOGGING`` says of that goes on to be true.
    """
    logger = logging.getLogger(name)
    if logger.parent is logging.root and name.partition(".")[0] != "celery":
        logger.parent = _parent
    return logger
