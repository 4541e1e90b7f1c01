"""Which runs an address of ours means, and what is said of it if that is nonsense."""

from collections.abc import Iterator
from typing import NamedTuple

from django.http import QueryDict
from django.utils.translation import gettext as _

from taskworks.dashboard.access import Access, Action
from taskworks.dashboard.redaction import name_at
from taskworks.dashboard.runs.search_text import texts_of
from taskworks.filtering import FilterError, RunFilter, parse
from taskworks.filtering.arguments import Argument
from taskworks.filtering.parsing import MAX_TEXT, as_texts
from taskworks.masking import is_secret

TYPED = "q"  # the parameter for what was typed into the search
OURS = {TYPED, "after", "do", "page"}  # parameters that are not conditions
MAX_KEPT = 20  # values of a condition, of a filter that is nonsense
MAX_SHOWN = 100  # characters of an unknown name

Texts = dict[str, list[str]]


class Meant(NamedTuple):
    """The texts of an address, the filter that they are, and what is wrong with them."""

    texts: Texts
    filter: RunFilter | None  # None if something is wrong
    problems: list[str]

    def but(self, **changes: list[str] | None) -> Texts:
        """Return the texts with others in place of some, or without those that are None."""
        changed = {**self.texts, **changes}
        return {name: values for name, values in changed.items() if values}

    def without(self, name: str, text: str) -> Texts:
        """Return the texts without one."""
        left = [one for one in self.texts.get(name, []) if one != text]
        return self.but(**{name: left})


def meant_by(query: QueryDict, access: Access) -> Meant:
    """Return which runs are meant, for somebody who may see so much."""
    texts = {name: [text for text in values if text] for name, values in query.lists()}
    texts = {name: values for name, values in texts.items() if values and name not in OURS}
    try:
        found = parse(texts)
    except FilterError as error:
        return Meant(_kept(texts), None, [*error.errors.values()])
    if problems := [*_not_for_them(found, access)]:
        return Meant(texts, None, problems)
    return Meant(as_texts(found), found, [])


def _kept(texts: Texts) -> Texts:
    """Return what of a nonsense filter goes on in the links of its page."""
    return {
        name: [text for text in some[:MAX_KEPT] if len(text) <= MAX_TEXT]
        for name, some in texts.items()
        if len(name) <= MAX_SHOWN
    }


def typed_in(query: QueryDict) -> Texts | None:
    """Return the texts of an address and its search; None without a search; raise BadSearch."""
    if TYPED not in query:
        return None
    texts = {name: [text for text in values if text] for name, values in query.lists()}
    for name, some in texts_of(str(query[TYPED])).items():
        texts[name] = [*texts.get(name, []), *(one for one in some if one)]
    return {name: values for name, values in texts.items() if values and name not in OURS}


def _not_for_them(found: RunFilter, access: Access) -> Iterator[str]:
    """Yield why conditions are not for this person: a filter tells what is in an argument."""
    if found.arguments and not access.may(Action.SEE_ARGUMENTS):
        yield _("You may not see arguments, and so cannot search in them.")
        return
    for argument in found.arguments:
        if argument.masked != argument:
            text = _("The values of %(name)s are hidden, and so cannot be searched.")
            yield text % {"name": repr(_hidden_name(argument)[:MAX_SHOWN])}
        elif argument.position is not None and _may_be_hidden(found, argument.position):
            yield _("What stands at a position may be hidden: search by the name of the argument.")


def _hidden_name(argument: Argument) -> str:
    return next(filter(is_secret, argument.path.split(".")), argument.path)


def _may_be_hidden(found: RunFilter, position: int) -> bool:
    """Return whether what tasks are given at a position may be masked: of any, nobody knows."""
    return not found.tasks or any(is_secret(name_at(path, position)) for path in found.tasks)
