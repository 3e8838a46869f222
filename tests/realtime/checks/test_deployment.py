"""The checks of `manage.py check --deploy`."""

from realtime import checks
from tests.support.checking import ids


def test_a_deployment_is_warned_of_what_is_not_for_it(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    settings.REALTIME = {"CREDENTIALS": ["query"]}
    expected = ["realtime.W002", "realtime.W004"]
    assert ids(checks.check_deployment()) == expected


def test_a_proxy_that_ends_tls_is_asked_for(settings):
    assert ids(checks.check_proxies()) == ["realtime.W019"]
    settings.SECURE_PROXY_SSL_HEADER = ("X-Forwarded-Proto", "https")
    assert ids(checks.check_proxies()) == ["realtime.W020"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert checks.check_proxies() == []
