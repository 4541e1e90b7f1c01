"""The search of the list of runs."""

import json
import re
from uuid import UUID

from django.db.models import ExpressionWrapper, F, Q, TextField

from taskworks.models.run import TaskRunQuerySet

HELP_TEXT = "The id of a run, or parts of the path of what it calls or of the class of its errors."


def is_id(term: str) -> bool:
    """Return whether it is the id of a run."""
    try:
        UUID(term.strip())
    except ValueError:
        return False
    return True


def search(runs: TaskRunQuerySet, term: str) -> TaskRunQuerySet:
    """Return the run with this id; otherwise those in whose paths or errors all the words are."""
    if is_id(term):
        return runs.filter(id=UUID(term.strip()))
    text = ExpressionWrapper(F("errors"), output_field=TextField())  # as it is stored
    runs = runs.alias(errors_text=text)
    for word in term.split():
        runs = runs.filter(
            Q(task_path__icontains=word)
            | Q(callable_path__icontains=word)
            | ~Q(errors_text="[]") & Q(errors_text__iregex=_in_a_class(word))
        )
    return runs


def _in_a_class(word: str) -> str:
    """Return a pattern that finds the word in the class of an error, and not in its traceback."""
    in_json = json.dumps(word)[1:-1]
    return f'"exception_class_path":"[^"]*{re.escape(in_json)}'
