"""Settings for Django's own tests of tasks; each test brings its TASKS itself."""

SECRET_KEY = "conformance"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS: list[str] = []
