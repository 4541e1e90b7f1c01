"""The same settings for every system, plus what the system itself needs."""

from benchmarks import databases
from benchmarks.place import Place
from benchmarks.systems import system_at

_place = Place.here()
_system = system_at(_place)

SECRET_KEY = "of a benchmark"
DEBUG = False
USE_TZ = True
INSTALLED_APPS = _system.apps
DATABASES = {"default": databases.settings(_place)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TASKS = _system.backends
# The log of a no-op is of no interest.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django": {"level": "WARNING"}, "django_tasks": {"level": "WARNING"}},
}
globals().update(_system.settings)
