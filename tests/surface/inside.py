"""All that these tests import of the inside; when a module moves, only this file changes."""

from taskworks.backends.celery.options import KEYS as KEYS_OF_CELERY
from taskworks.backends.celery.ticket import TASK_NAME
from taskworks.conf import Conf
from taskworks.database.notifications import Notification
from taskworks.database.payloads import (
    CHANNEL,
    SCHEDULE_SAVED,
    WATCHERS_CHANNEL,
    asking_for,
    news_of,
)
from taskworks.framework.backport import base as backport
from taskworks.framework.backport import exceptions as backport_exceptions
from taskworks.framework.backport.signals import LOGGER_NAME as BACKPORT_LOGGER
from taskworks.options.policy import Policy
from taskworks.options.retention import DEFAULTS as RETENTION
from taskworks.options.tasks_setting import KEYS, KEYS_OF_OPTIONS
from taskworks.rest.events.hub import hub
from taskworks.timetables.declared import declarations
from taskworks.typed import registry

__all__ = [
    "BACKPORT_LOGGER",
    "CHANNEL",
    "KEYS",
    "KEYS_OF_CELERY",
    "KEYS_OF_OPTIONS",
    "RETENTION",
    "SCHEDULE_SAVED",
    "TASK_NAME",
    "WATCHERS_CHANNEL",
    "Conf",
    "Notification",
    "Policy",
    "asking_for",
    "backport",
    "backport_exceptions",
    "declarations",
    "hub",
    "news_of",
    "registry",
]
