"""The headers of our pages: a policy that allows no inline script or style, and no caching."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.cache import patch_vary_headers

POLICY = "Content-Security-Policy"
# Those of projects and packages that write a policy of the project's own.
MIDDLEWARE_OF_DJANGO = "django.middleware.csp.ContentSecurityPolicyMiddleware"
MIDDLEWARE_OF_DJANGO_CSP = "csp.middleware.CSPMiddleware"


def add_headers(response: HttpResponse) -> HttpResponse:
    """Add the headers of our pages to a response, and return it."""
    response["Cache-Control"] = "private, no-store"  # runs may hold what is nobody else's business
    response["Referrer-Policy"] = "same-origin"
    response["X-Content-Type-Options"] = "nosniff"
    patch_vary_headers(response, ["Cookie", "HX-Request"])
    if POLICY not in response and not project_has_policy():
        response[POLICY] = own_policy()
    return response


def project_has_policy() -> bool:
    """Return whether the project's middleware writes a policy, which then is in force."""
    middleware = settings.MIDDLEWARE
    if MIDDLEWARE_OF_DJANGO in middleware and getattr(settings, "SECURE_CSP", None):
        return True
    return MIDDLEWARE_OF_DJANGO_CSP in middleware


def own_policy() -> str:
    """Return a policy that allows our files, wherever STATIC_URL says that they are."""
    ours = " ".join(["'self'", *_origin_of_static_files()])
    return (
        f"default-src 'none'; script-src {ours}; style-src {ours}; img-src {ours}; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def nonce_of(request: HttpRequest) -> str:
    """Return the nonce of Django 6.0 and later, or that of django-csp; "" if there is none."""
    # Both are lazy, and false until they are read as text.
    given = getattr(request, "_csp_nonce", getattr(request, "csp_nonce", None))
    return "" if given is None else str(given)


def _origin_of_static_files() -> list[str]:
    parts = urlsplit(static("taskworks/dashboard/dashboard.css"))
    return [f"{parts.scheme or 'https'}://{parts.netloc}"] if parts.netloc else []
