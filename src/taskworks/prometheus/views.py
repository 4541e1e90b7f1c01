"""The address that Prometheus reads: closed without a token, unless a project opens it."""

import secrets
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from taskworks.conf import conf
from taskworks.documentation import page
from taskworks.prometheus import collector

CLOSED = (
    "These metrics are closed: set TASKWORKS['METRICS_TOKEN'], and send it in the header "
    f"Authorization: Bearer. {page('howto/monitor-with-prometheus')}\n"
)
REFUSED = "Send the value of TASKWORKS['METRICS_TOKEN'] in the header Authorization: Bearer.\n"


def _as_view(view: Any) -> Any:
    """Without a transaction, a redirect to a login, a cache, and methods that change something."""
    return login_not_required(transaction.non_atomic_requests(never_cache(require_safe(view))))


@_as_view
def metrics(request: HttpRequest) -> HttpResponse:
    """
    Answer with the metrics who sends ``TASKWORKS["METRICS_TOKEN"]`` as a bearer token. Without that
    setting, nobody is answered.
    """
    token = conf().metrics_token
    if not token:
        return _text(CLOSED, status=403)
    if not _has_token(request, token):
        return _text(REFUSED, status=401, headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
    return _exposition(request)


@_as_view
def open_metrics(request: HttpRequest) -> HttpResponse:
    """Answer everybody: for an address that only your own network can reach."""
    return _exposition(request)


def _has_token(request: HttpRequest, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # All of it is compared, whatever it is, so that the time taken tells nothing.
    is_same = secrets.compare_digest(given.strip().encode(), token.encode())
    return is_same and scheme.lower() == "bearer"


def _exposition(request: HttpRequest) -> HttpResponse:
    encode, content_type = _chosen(request.headers.get("Accept", ""))
    return HttpResponse(encode(collector.REGISTRY), content_type=content_type)


def _chosen(accept: str) -> Any:
    try:
        return choose_encoder(accept)
    except Exception:  # noqa: BLE001 - such as for a version that is not a number
        return choose_encoder("")


def _text(text: str, **options: Any) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain; charset=utf-8", **options)
