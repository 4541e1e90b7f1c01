"""The TASKWORKS setting."""

import math
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from taskworks.conf import Conf, conf, nearest
from tests.behavior import Settings

KEYS = [name.upper() for name in Conf.__slots__]
SWITCHES = [name for name in KEYS if type(getattr(Conf(), name.lower())) is bool]
LISTS = ["API_TASKS"]
DICTS = ["LIMITS"]
TEXTS = ["METRICS_TOKEN", "RELEASE", "DASHBOARD_ACCESS", "DASHBOARD_REDACT", "WAKEUP"]


def test_without_the_setting_the_defaults_are_in_force(settings: Settings) -> None:
    del settings.TASKWORKS
    assert conf() == Conf()
    assert conf().heartbeat_interval == 5
    assert conf().worker_timeout == 30
    assert conf().shutdown_timeout == 25
    assert conf().not_found_patience == 600
    assert conf().max_json_size == 1024 * 1024
    assert conf().max_traceback_length == 10_000


def test_a_setting_that_was_not_there_takes_effect_at_once(settings: Settings) -> None:
    del settings.TASKWORKS
    assert conf() == Conf()
    settings.TASKWORKS = {"WORKER_TIMEOUT": 70}
    assert conf().worker_timeout == 70
    del settings.TASKWORKS
    assert conf() == Conf()


def test_also_without_an_override() -> None:
    with override_settings():
        del django_settings.TASKWORKS
        assert conf() == Conf()
        django_settings.TASKWORKS = {"WORKER_TIMEOUT": 70}
        assert conf().worker_timeout == 70
    assert conf().worker_timeout == django_settings.TASKWORKS["WORKER_TIMEOUT"]


def test_an_empty_setting_changes_nothing(settings: Settings) -> None:
    settings.TASKWORKS = {}
    assert conf() == Conf()


def test_a_key_that_is_set_leaves_the_others(settings: Settings) -> None:
    settings.TASKWORKS = {"WORKER_TIMEOUT": 77.5}
    assert conf() == Conf(worker_timeout=77.5)


def test_a_change_takes_effect_at_once(settings: Settings) -> None:
    settings.TASKWORKS = {"WORKER_TIMEOUT": 70}
    assert conf().worker_timeout == 70
    settings.TASKWORKS = {"WORKER_TIMEOUT": 80}
    assert conf().worker_timeout == 80


def test_an_unknown_key_is_refused_and_the_nearest_one_named(settings: Settings) -> None:
    settings.TASKWORKS = {"WORKER_TIMEOUTS": 7}
    with pytest.raises(
        ImproperlyConfigured,
        match=r"^TASKWORKS has no key 'WORKER_TIMEOUTS'\. Did you mean 'WORKER_TIMEOUT'\?$",
    ):
        conf()


def test_a_key_like_no_other_is_refused_and_all_are_named(settings: Settings) -> None:
    settings.TASKWORKS = {"XYZ": 7}
    with pytest.raises(
        ImproperlyConfigured, match=r"'XYZ'\. Choose from: API_.*, ENDPOINT.*, WORKER_TIMEOUT"
    ):
        conf()


@pytest.mark.parametrize(
    "key", [name for name in KEYS if name not in SWITCHES + LISTS + DICTS + TEXTS]
)
@pytest.mark.parametrize("value", [0, -1, "5", None, True])
def test_a_value_that_is_no_number_above_nought_is_refused(
    settings: Settings, key: str, value: Any
) -> None:
    settings.TASKWORKS = {key: value}
    with pytest.raises(ImproperlyConfigured, match=rf"TASKWORKS\['{key}'\] must be "):
        conf()


@pytest.mark.parametrize("key", SWITCHES)
@pytest.mark.parametrize("value", [0, 1, "yes", None])
def test_a_switch_is_on_or_off(settings: Settings, key: str, value: Any) -> None:
    settings.TASKWORKS = {key: value}
    with pytest.raises(ImproperlyConfigured, match=rf"'{key}'\] must be True or False"):
        conf()


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize("value", [0, "shop.tasks.Sum", None, {}, [5], ["Sum"]], ids=repr)
def test_a_list_is_of_dotted_paths(settings: Settings, key: str, value: Any) -> None:
    settings.TASKWORKS = {key: value}
    with pytest.raises(ImproperlyConfigured, match=rf"'{key}'\] must be a list of dotted paths"):
        conf()
    settings.TASKWORKS = {key: ["shop.tasks.Sum"]}
    assert getattr(conf(), key.lower()) == ("shop.tasks.Sum",)


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("value", [0, None, b"v1", ["v1"]])
def test_what_is_no_text_is_refused(settings: Settings, key: str, value: Any) -> None:
    settings.TASKWORKS = {key: value}
    with pytest.raises(ImproperlyConfigured, match=rf"TASKWORKS\['{key}'\] must be a string"):
        conf()


@pytest.mark.parametrize("key", DICTS)
@pytest.mark.parametrize("value", [0, "imports", [], True], ids=repr)
def test_a_dict_is_one(settings: Settings, key: str, value: Any) -> None:
    settings.TASKWORKS = {key: value}
    with pytest.raises(ImproperlyConfigured, match=rf"'{key}'\] must be a dict"):
        conf()
    settings.TASKWORKS = {key: None}
    assert conf() == Conf()


@pytest.mark.parametrize("value", [math.nan, math.inf, [5], {}], ids=repr)
def test_a_stranger_value_is_refused_too(settings: Settings, value: Any) -> None:
    settings.TASKWORKS = {"WORKER_TIMEOUT": value}
    with pytest.raises(ImproperlyConfigured, match=r"TASKWORKS\['WORKER_TIMEOUT'\] must be "):
        conf()


@pytest.mark.parametrize("key", ["MAX_JSON_SIZE", "MAX_TRACEBACK_LENGTH"])
def test_what_is_counted_is_whole(settings: Settings, key: str) -> None:
    settings.TASKWORKS = {key: 1000.5}
    with pytest.raises(ImproperlyConfigured, match=rf"TASKWORKS\['{key}'\] must be "):
        conf()


def test_true_is_refused_even_if_1_was_taken_before(settings: Settings) -> None:
    settings.TASKWORKS = {"HEARTBEAT_INTERVAL": 1}
    assert conf().heartbeat_interval == 1
    settings.TASKWORKS = {"HEARTBEAT_INTERVAL": True}
    with pytest.raises(ImproperlyConfigured):
        conf()


@pytest.mark.parametrize("setting", [None, [], "WORKER_TIMEOUT=5", 5])
def test_what_is_no_dict_is_refused(settings: Settings, setting: Any) -> None:
    settings.TASKWORKS = setting
    with pytest.raises(ImproperlyConfigured, match="TASKWORKS"):
        conf()


@pytest.mark.parametrize("keys", [{1: 5}, {1: 5, "WORKER_TIMEOUT": 5}], ids=repr)
def test_a_key_that_is_no_text_is_refused(settings: Settings, keys: Any) -> None:
    settings.TASKWORKS = keys
    with pytest.raises(ImproperlyConfigured, match="TASKWORKS has no key 1"):
        conf()


def test_the_nearest_name_ends_a_sentence() -> None:
    assert nearest("prio", ["queue", "priority"]) == " Did you mean 'priority'?"
    assert nearest("xyz", ["queue", "priority"]) == " Choose from: priority, queue."


def test_a_worker_is_not_given_up_between_two_heartbeats(settings: Settings) -> None:
    settings.TASKWORKS = {"HEARTBEAT_INTERVAL": 10, "WORKER_TIMEOUT": 30}
    assert conf().worker_timeout == 30
    settings.TASKWORKS = {"HEARTBEAT_INTERVAL": 10, "WORKER_TIMEOUT": 29}
    with pytest.raises(ImproperlyConfigured, match="at least three times HEARTBEAT_INTERVAL"):
        conf()
