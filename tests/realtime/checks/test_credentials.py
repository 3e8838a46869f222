"""The checks of what proves who a client is."""

from realtime import checks
from tests.support.checking import ids

SIMPLEJWT = "rest_framework_simplejwt.authentication"


ORIGINS = ["https://example.com", "http://example.com:8000", "https://*.example.com"]
ORIGINS += ["capacitor://localhost", "ionic://localhost", "app://.", "file://", "wss://example.com"]
ORIGINS += ["chrome-extension://abcdefghijklmnopabcdefghijklmnop", "http://[::1]:8000"]
NO_ORIGINS = ["*", "null", "example.com", "https://example.com/", "https://example.com/app", ""]
NO_ORIGINS += ["https://", "capacitor://", "https://me@example.com", "https://example.com:port"]
NO_ORIGINS += ["https://*", "https://*.", "https://a.*.com", "https://*example.com"]
NO_ORIGINS += [" https://example.com", "https://example.com,https://example.org", 5, None]


def test_an_origin_that_is_none_is_an_error(settings):
    settings.REALTIME = {"ALLOWED_ORIGINS": [*ORIGINS, *NO_ORIGINS]}
    messages = checks.check_origins()
    assert ids(messages) == ["realtime.E010"] * len(NO_ORIGINS)
    for entry, message in zip(NO_ORIGINS, messages, strict=True):
        assert repr(entry) in message.msg
        assert "https://*.example.com" in message.hint


def test_one_text_in_place_of_a_list_is_reported_once(settings):
    settings.REALTIME = {"ALLOWED_ORIGINS": "https://example.com"}
    assert ids([*checks.check_settings(), *checks.check_origins()]) == ["realtime.E003"]


def test_a_trusted_origin_that_django_ignores_is_a_warning(settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.com", "https://example.com/"]
    (message,) = checks.check_origins()
    assert message.id == "realtime.W010"
    assert "'https://example.com/'" in message.msg


def test_an_api_with_users_without_a_row_is_warned(settings):
    assert checks.check_stateless_users() == []
    stateless = f"{SIMPLEJWT}.JWTStatelessUserAuthentication"
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [stateless]}
    assert ids(checks.check_stateless_users()) == ["realtime.W012"]
