"""A task as a project of the other packages has it: it imports what they say."""

from pathlib import Path

try:
    from django.tasks import task
except ImportError:  # Django 5.2
    from django_tasks import task


@task()
def note(path: str, text: str) -> None:
    """Write a line, whole even when many processes write."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")
