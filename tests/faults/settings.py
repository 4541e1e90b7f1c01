"""The settings of worker processes under fire."""

import os

from tests.faults.pace import PACE
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS
from tests.settings import TASKWORKS as USUAL

TASKWORKS = {**USUAL, **PACE.settings, "INTERRUPT_GRACE": 2.0}

if "TASKWORKS_FAULTS_ISOLATION" in os.environ:
    level = os.environ["TASKWORKS_FAULTS_ISOLATION"]  # psycopg has numbers, MySQLdb has words
    DATABASES["default"]["OPTIONS"] = {"isolation_level": int(level) if level.isdigit() else level}
if "TASKWORKS_FAULTS_BUSY_TIMEOUT" in os.environ:
    DATABASES["default"]["OPTIONS"]["timeout"] = float(os.environ["TASKWORKS_FAULTS_BUSY_TIMEOUT"])
if "TASKWORKS_FAULTS_PATIENCE" in os.environ:
    TASKWORKS["NOT_FOUND_PATIENCE"] = float(os.environ["TASKWORKS_FAULTS_PATIENCE"])
if "TASKWORKS_FAULTS_STRIKE" in os.environ:
    INSTALLED_APPS += ["tests.faults.points.Points"]
