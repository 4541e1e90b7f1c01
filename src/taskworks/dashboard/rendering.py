"""
Our own template engine, which inherits nothing from the project's TEMPLATES: no other tags, no
switched-off escaping, no templates of the same name.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from django.http import HttpRequest
from django.template.backends.django import DjangoTemplates

TEMPLATES = Path(__file__).parent / "templates"


@cache
def engine() -> DjangoTemplates:
    """Return the engine, which finds our templates, each compiled once."""
    return DjangoTemplates(
        {
            "NAME": "taskworks_dashboard",
            "DIRS": [TEMPLATES],
            "APP_DIRS": False,
            "OPTIONS": {
                "context_processors": ["django.template.context_processors.request"],
                "builtins": [
                    "django.templatetags.i18n",
                    "django.templatetags.l10n",
                    "django.templatetags.static",
                    "taskworks.dashboard.tags",
                ],
                "loaders": [
                    (
                        "django.template.loaders.cached.Loader",
                        ["django.template.loaders.filesystem.Loader"],
                    )
                ],
            },
        }
    )


def render(template: str, context: Mapping[str, Any], request: HttpRequest) -> str:
    """Return the text of a template, with the request and its CSRF token in the context."""
    return str(engine().get_template(template).render(dict(context), request))
