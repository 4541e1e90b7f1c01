"""The tags and filters of our templates; they need not be loaded."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.template import Context, Library
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from taskworks.dashboard import page_addresses
from taskworks.durations import in_words, localized
from taskworks.logs import one_line
from taskworks.models import RunState
from taskworks.sentences import translated

register = Library()

WBR = SafeString("<wbr>")  # where a line may break

# The shape of each state, so that nobody needs to see colors.
SHAPES: dict[str, str] = {
    RunState.BLOCKED: "◫",
    RunState.SCHEDULED: "◷",
    RunState.READY: "○",
    RunState.CLAIMED: "◔",
    RunState.RUNNING: "▶",
    RunState.SUCCESSFUL: "✓",
    RunState.FAILED: "✕",
    RunState.CANCELLED: "⊘",
}


@register.simple_tag(takes_context=True)
def address(context: Context, name: str, *ids: Any, **query: Any) -> str:
    """``{% address "run" run.id %}``: where a page is, in this inclusion; "" if there is none."""
    request: HttpRequest = context["request"]
    return page_addresses.address(request, name, *ids, **query)


@register.simple_tag
def ours(name: str) -> str:
    """``{% ours "dashboard.css" %}``: the address of one of our static files."""
    return static(f"taskworks/dashboard/{name}")


@register.simple_tag(takes_context=True)
def nonce(context: Context) -> str:
    """``<script {% nonce %}>``: the attribute, where the project's policy asks for one."""
    given = context.get("nonce")
    return format_html('nonce="{}"', given) if given else ""


@register.filter
def state(value: str) -> SafeString:
    """Return a state as a word with a shape."""
    label = dict(RunState.choices).get(value, value)
    known = value if value in SHAPES else "unknown"
    return format_html(
        '<span class="tw-state tw-{}"><span aria-hidden="true">{}</span> {}</span>',
        known,
        SHAPES.get(value, "?"),
        label,
    )


@register.filter
def moment(at: datetime | None) -> str:
    """Return a time in the current zone, with the time of UTC as its title."""
    if not isinstance(at, datetime):
        return "—"
    try:
        here = timezone.localtime(at) if timezone.is_aware(at) else at
        there = at.astimezone(UTC) if timezone.is_aware(at) else at
    except (OverflowError, ValueError):  # in the first or last day of all
        return str(at)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(timespec="seconds"),
        f"{there:%Y-%m-%d %H:%M:%S} UTC" if timezone.is_aware(at) else "",
        f"{here:%Y-%m-%d %H:%M:%S}",
    )


@register.filter
def duration(value: Any) -> str:
    """Return seconds, or a timedelta, in words; "—" for None."""
    if value is None:
        return "—"
    length = value if isinstance(value, timedelta) else timedelta(seconds=value)
    seconds = length.total_seconds()
    if 0 < seconds < 1:
        return f"{localize(_rounded(seconds * 1000))} ms"
    return localized(length)


@register.filter
def ago(at: datetime | None, now: datetime | None) -> str:
    """Return how long ago this was, with the time as its title."""
    if not isinstance(at, datetime) or not isinstance(now, datetime):
        return "—"
    length = max(now - at, timedelta())
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        f"{at:%Y-%m-%d %H:%M:%S} {at.tzname() or ''}".rstrip(),
        _("%(duration)s ago") % {"duration": in_words(length, decimals=0)},
    )


@register.filter
def said(text: Any) -> str:
    """Return a sentence that commands share in the language of the page."""
    return translated(text) if text else ""


@register.filter
def line(text: Any) -> str:
    """Return a text in one line, with control characters escaped."""
    return one_line(str(text))


@register.filter
def path(text: str) -> SafeString:
    """Return the dotted path of a task, which may break after a dot."""
    parts = re.split(r"(?<=\.)", one_line(text))
    return format_html_join(WBR, "{}", ((part,) for part in parts))


@register.filter
def percent(share: float | None) -> str:
    """Return a share as a percentage; "—" for None."""
    if share is None:
        return "—"
    return f"{localize(_rounded(100 * share))} %"


def _rounded(value: float) -> float:
    """Return a number without digits that say nothing."""
    return round(value, 1) if 0 < value < 10 else round(value)


@register.filter
def runs(number: Any) -> str:
    """Return how many runs these are, in words."""
    count = int(number)
    return ngettext("%(count)s run", "%(count)s runs", count) % {"count": localize(number)}


@register.inclusion_tag("next.html", takes_context=True)
def next_page(context: Context) -> dict[str, Any]:
    """``{% next_page %}``: the field of a form that leads back to this page."""
    return {"here": context["request"].get_full_path()}


@register.filter
def capped(number: int | None, most: int = 10_000) -> str:
    """Return a count, as "10,000+" if there may be more; "—" if it is not known."""
    if number is None:
        return "—"
    return f"{localize(most)}+" if number > most else str(localize(number))
