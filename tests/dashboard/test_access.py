"""Who may open the dashboard, and what becomes of everybody else."""

import re
from typing import Any

import django
import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import Client

from taskworks.dashboard.access import PERMISSIONS, Action
from tests.dashboard.conftest import SignIn, place

pytestmark = [pytest.mark.any_database, pytest.mark.django_db]

asked: list[tuple[str, Any]] = []


def friends(request: HttpRequest, action: str, row: Any) -> bool:
    asked.append((action, row))
    return request.headers.get("X-Friend") == "yes" and action == "see"


def test_whoever_is_not_signed_in_is_led_to_the_admins_page(client: Client, settings: Any) -> None:
    overview = place("overview")
    response = client.get(overview)
    assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={overview}")
    settings.LOGIN_URL = "/sign-in/"
    assert client.get(overview)["Location"] == f"/sign-in/?next={overview}"
    # A fragment is not led anywhere: the page of the admin would be shown in its place.
    assert client.get(overview, headers={"HX-Request": "true"}).status_code == 403
    assert client.post(overview).status_code == 403


def test_only_staff_with_the_permission_see_it(sign_in: SignIn) -> None:
    overview = place("overview")
    assert sign_in("view_taskrun").get(overview).status_code == 200
    for refused in (sign_in(), sign_in("view_taskrun", is_staff=False), sign_in("run_task")):
        response = refused.get(overview)
        assert response.status_code == 403
        assert "permission" in response.content.decode()


def test_each_action_has_a_permission_that_exists(sign_in: SignIn) -> None:
    assert {*PERMISSIONS} == {*Action}
    sign_in(*(name.removeprefix("taskworks.") for name in PERMISSIONS.values()))


def test_a_function_of_the_project_decides_alone(
    client: Client, root: Client, settings: Any
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_ACCESS": f"{__name__}.friends"}
    assert client.get(place("overview"), headers={"X-Friend": "yes"}).status_code == 200
    assert ("see", None) in asked
    assert root.get(place("overview")).status_code == 403


def test_a_function_that_cannot_be_imported_lets_nobody_in(root: Client, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_ACCESS": "nowhere.at_all"}
    with pytest.raises(ImproperlyConfigured, match=r"DASHBOARD_ACCESS.*nowhere\.at_all"):
        root.get(place("overview"))
    found = [one for one in checks.run_checks() if one.id == "taskworks.E070"]
    assert "nowhere.at_all" in str(found)


def test_pages_have_headers_of_their_own(root: Client, settings: Any) -> None:
    response = root.get(place("overview"))
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "no-store" in response["Cache-Control"]
    settings.STATIC_URL = "https://cdn.example.com/static/"
    policy = root.get(place("overview"))["Content-Security-Policy"]
    assert "script-src 'self' https://cdn.example.com;" in policy


def test_a_fragment_that_is_known_is_not_sent_again(root: Client) -> None:
    first = root.get(place("overview"), headers={"HX-Request": "true"})
    assert b"<html" not in first.content
    again = {"HX-Request": "true", "If-None-Match": first["ETag"]}
    second = root.get(place("overview"), headers=again)
    assert (second.status_code, second.content) == (304, b"")


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django writes no policy before 6.0")
def test_the_policy_of_the_project_is_in_force(root: Client, settings: Any) -> None:
    from django.utils.csp import CSP

    settings.SECURE_CSP = {
        "default-src": [CSP.NONE],
        "script-src": [CSP.NONCE, CSP.STRICT_DYNAMIC],
        "style-src": [CSP.NONCE],
    }
    middleware = "django.middleware.csp.ContentSecurityPolicyMiddleware"
    settings.MIDDLEWARE = [middleware, *settings.MIDDLEWARE]
    response = root.get(place("overview"))
    [nonce] = {*re.findall(r"'nonce-([^']+)'", response["Content-Security-Policy"])}
    text = response.content.decode()
    scripts = re.findall(r"<(?:script|link rel=\"stylesheet\")[^>]*>", text)
    assert len(scripts) >= 5
    assert all(f'nonce="{nonce}"' in one for one in scripts)
