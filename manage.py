#!/usr/bin/env python
"""Django's commands with the settings of the tests, for making migrations and trying things."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
execute_from_command_line(sys.argv)
