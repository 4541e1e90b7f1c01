"""What an address of Redis may be, and that its password is nobody else's business."""

import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import conf
from taskworks.wakeup import sender
from taskworks.wakeup.address import client_of, without_secrets
from taskworks.wakeup.channel import channel_of
from taskworks.wakeup.sender import Sender
from tests.connections import elsewhere
from tests.ports import free_port
from tests.redis_server import redis_server
from tests.waiting import wait_for
from tests.worker.claiming.idleness import StartWorker

SECRET = "hunter2"


def problems() -> list[str]:
    return [one.msg for one in run_checks() if one.id == "taskworks.E010"]


@pytest.mark.any_database
@pytest.mark.parametrize(
    "address",
    [
        "redis://",
        "redis:///3",
        "redis://localhost",
        "redis://:hunter2@127.0.0.1:6379/0",
        "redis://me:hun%2Fter%402@[::1]:6379/0?socket_timeout=0.5",
        "rediss://me@redis.example.com:6380/0?ssl_cert_reqs=none",
        "unix:///run/redis/redis.sock?db=1&password=hunter2",
    ],
)
def test_what_redis_py_takes_is_taken(settings: Any, address: str) -> None:
    settings.TASKWORKS = {"WAKEUP": address}
    assert problems() == []


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("hunter2", "must begin with redis://, rediss:// or unix://"),
        ("hunter2@127.0.0.1:6379", "must begin with redis://"),
        ("memcached://:hunter2@127.0.0.1", "must begin with redis://"),
        ("redis:hunter2", "must begin with redis://"),
        ("redis://me:hunter2@127.0.0.1:port/0", "has no host and port that can be read"),
        ("redis://:hunter2/x@127.0.0.1/0", "has no host and port that can be read"),
        ("redis://:hunter2#x@127.0.0.1/0", "has no host and port that can be read"),
        ("redis://:1?hunter2@127.0.0.1/0", "has a # or an @ where none can be"),
        ("redis://:1/hunter2@127.0.0.1/0", "has a # or an @ where none can be"),
        ("redis://127.0.0.1/hunter2", "has something other than a number of a database"),
        ("redis://:hunter2@[127.0.0.1/0", "has no host and port that can be read"),
        ("unix://", "names no socket"),
        ("redis://:hunter2@127.0.0.1/0?color=blue", "color"),
        ("redis://:hunter2@127.0.0.1/0?socket_timeout=hunter2", "socket_timeout"),
    ],
)
def test_what_it_would_refuse_or_misread_is_refused_in_a_sentence(
    settings: Any, address: str, reason: str
) -> None:
    settings.TASKWORKS = {"WAKEUP": address}
    [sentence] = problems()
    assert sentence.startswith("TASKWORKS['WAKEUP'] ")
    assert reason in sentence
    assert SECRET not in sentence
    with pytest.raises(ImproperlyConfigured) as refused:
        client_of(address)
    assert refused.value.__context__ is None or refused.value.__suppress_context__


@pytest.mark.any_database
@pytest.mark.parametrize("given", [5, None, b"redis://:hunter2@127.0.0.1", ["hunter2"]])
def test_what_is_no_text_is_refused_and_not_shown(settings: Any, given: object) -> None:
    settings.TASKWORKS = {"WAKEUP": given}
    with pytest.raises(ImproperlyConfigured, match=r"TASKWORKS\['WAKEUP'\] must be a string") as e:
        conf()
    assert SECRET not in str(e.value)
    assert problems() == []


@pytest.mark.any_database
def test_without_redis_py_the_check_names_the_extra(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKWORKS = {"WAKEUP": "redis://127.0.0.1"}
    monkeypatch.setitem(sys.modules, "redis", None)
    [sentence] = problems()
    assert sentence.endswith("Run pip install 'django-taskworks[redis]'.")


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://:hunter2@h/0", "no hunter2"),
        ("redis://:hunter%32@h/0", "no hunter2, no hunter%32"),
        ("redis://h/0?password=hunter2", "no hunter2"),
        ("redis://h:x/0?password=hunter2", "cannot be read"),
    ],
)
def test_a_password_is_masked_however_it_is_written(address: str, said: str) -> None:
    assert "hunter" not in without_secrets(said, address)


@pytest.mark.any_database
def test_the_settings_in_force_do_not_show_it(settings: Any) -> None:
    settings.TASKWORKS = {"WAKEUP": "redis://:hunter2@127.0.0.1"}
    assert SECRET not in repr(conf())


@pytest.mark.django_db(transaction=True)
@pytest.mark.thorough_on_servers
def test_a_server_with_a_password_wakes_who_has_it_and_no_log_shows_it(
    settings: Any,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with redis_server("--requirepass", SECRET) as server:
        for given in (f":{SECRET}x@", ""):
            caplog.clear()
            settings.TASKWORKS = {"WAKEUP": server.address.replace("//", f"//{given}")}
            monkeypatch.setattr(sender, "_sender", None)
            sender.wake("default", "[]")
            assert sender._sender
            sender._sender.flush(60)
            assert "Redis error while waking workers" in caplog.text
            assert SECRET not in caplog.text
        for address in (
            server.address.replace("//", f"//:{SECRET}@"),
            f"unix://{server.socket}?password={SECRET}",
        ):
            settings.TASKWORKS = {**settings.TASKWORKS, "WAKEUP": address}
            worker = start_worker()
            wait_for(lambda: worker._threads.wake_ups._sources[0].works, "it is subscribed")  # noqa: B023
        assert SECRET not in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.not_every_day
@pytest.mark.thorough_on_servers
def test_it_is_spoken_to_through_tls(settings: Any, tmp_path: Any) -> None:
    certificate = _certificate(tmp_path)
    port = free_port()
    tls = ["--tls-port", str(port), "--tls-auth-clients", "no", *certificate]
    with redis_server(*tls) as server, server.client() as client, client.pubsub() as subscription:
        subscription.subscribe(elsewhere(lambda: channel_of("default")))
        wait_for(subscription.get_message, "it is subscribed")
        settings.TASKWORKS = {"WAKEUP": f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none"}
        own = Sender()
        own.start()
        own.put(("default", "[1]"))
        message = wait_for(lambda: subscription.get_message(timeout=1), "it hears")
        assert message["data"] == b"[1]"


def _certificate(folder: Any) -> list[str]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    files = {
        "--tls-cert-file": certificate,
        "--tls-key-file": key,
        "--tls-ca-cert-file": certificate,
    }
    return [word for name, file in files.items() for word in (name, str(file))]
