"""Links from one page of an admin site to another."""

from typing import Any

from django.contrib.admin import AdminSite
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html


def link(site: AdminSite, model: str, pk: Any, text: Any) -> str:
    """Return a link to the page of a row on this site; only the text if it does not have such."""
    try:
        address = reverse(f"admin:taskworks_{model}_change", args=[pk], current_app=site.name)
    except NoReverseMatch:
        return str(text)
    return format_html('<a href="{}">{}</a>', address, text)
