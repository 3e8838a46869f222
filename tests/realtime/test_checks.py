"""The system checks of the settings."""

import re
from pathlib import Path

import pytest
from django.db import models

from realtime import checks

SIMPLEJWT = "rest_framework_simplejwt.authentication"


def ids(messages):
    return [message.id for message in messages]


def test_the_defaults_are_fine(settings):
    settings.REALTIME = {}
    assert checks.check_settings() == []
    assert checks.check_backend() == []
    assert checks.check_layer() == []


@pytest.mark.parametrize(
    ("configured", "id"),
    [
        ({"PING_SECOND": 1}, "realtime.E002"),
        ({"PING_SECONDS": "25"}, "realtime.E003"),
        ({"PING_SECONDS": -1}, "realtime.E003"),
        ({"ALLOW_ANONYMOUS": 1}, "realtime.E003"),
        ({"CREDENTIALS": "header"}, "realtime.E003"),
        ({"CREDENTIALS": ["headers"]}, "realtime.E004"),
        ({"AUTHENTICATOR": "nowhere.Class"}, "realtime.E005"),
        ({"USER_INFO": "nowhere.function"}, "realtime.E005"),
        ({"MESSAGE_MAX_LEVELS": 491}, "realtime.E007"),
        ({"USER_LABEL": "nowhere.function"}, "realtime.E005"),
        ({"AUTHENTICATOR": f"{SIMPLEJWT}.JWTStatelessUserAuthentication"}, "realtime.E012"),
        ({"AUTHENTICATOR": f"{SIMPLEJWT}.JWTAuthentication"}, "realtime.E012"),
        ({"AUTHENTICATOR": "uuid.UUID"}, "realtime.E012"),
        (["PING_SECONDS"], "realtime.E001"),
        ({"TOKEN_MAX_BYTES": 2_000_000}, "realtime.E011"),
        ({"TOKEN_MAX_BYTES": 20_000, "CREDENTIALS": ["header"]}, "realtime.W011"),
    ],
)
def test_mistakes_are_errors_with_a_hint(settings, configured, id):
    settings.REALTIME = configured
    messages = checks.check_settings()
    assert ids(messages) == [id]
    assert messages[0].hint


def test_an_unknown_key_gets_the_nearest_one(settings):
    settings.REALTIME = {"PING_SECOND": 1}
    assert checks.check_settings()[0].hint == "Did you mean 'PING_SECONDS'?"


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


def test_a_site_without_the_backend_is_warned(settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert ids(checks.check_backend()) == ["realtime.W001"]


def test_sessions_as_credentials_want_the_middleware(settings):
    assert checks.check_middleware() == []
    settings.MIDDLEWARE = []
    assert checks.check_middleware() == []
    settings.REALTIME = {"CREDENTIALS": ["session"]}
    assert ids(checks.check_middleware()) == ["realtime.W005"]


def test_sessions_that_no_server_holds_are_reported(settings):
    settings.REALTIME = {"CREDENTIALS": ["session"]}
    assert checks.check_sessions() == []
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert ids(checks.check_sessions()) == ["realtime.W014"]
    settings.REALTIME = {"CREDENTIALS": ["header"]}
    assert checks.check_sessions() == []


@pytest.mark.parametrize(
    "layers", [{}, {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}]
)
def test_a_layer_that_knows_no_rooms_is_an_error(settings, layers):
    settings.CHANNEL_LAYERS = layers
    assert ids(checks.check_layer()) == ["realtime.E006"]


def test_a_deployment_is_warned_of_what_is_not_for_it(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    settings.REALTIME = {"CREDENTIALS": ["query"]}
    expected = ["realtime.W002", "realtime.W004"]
    assert ids(checks.check_deployment()) == expected


def test_hosts_that_are_no_list_are_reported_with_the_cure(settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "realtime.layers.redis.RedisRoomLayer",
            "CONFIG": {"hosts": "redis://127.0.0.1:6379"},
        }
    }
    (message,) = checks.check_layer()
    assert message.id == "realtime.E006"
    assert "iterable" in message.msg or "list" in message.msg


def test_a_user_model_that_cannot_sign_in_is_an_error(monkeypatch):
    class Visitor(models.Model):
        is_anonymous = False

        class Meta:
            app_label = "visitors"
            abstract = True

    assert checks.check_user_model() == []
    monkeypatch.setattr(checks, "get_user_model", lambda: Visitor)
    found = checks.check_user_model()
    assert ids(found) == ["realtime.E013", "realtime.E013"]
    assert "no is_active" in found[0].msg and "AbstractBaseUser" in found[0].hint


def test_each_check_has_its_own_id():
    """A site silences a check by its id."""
    found = re.findall(r'id="(realtime\.[EW]\d+)"', Path(checks.__file__).read_text())
    assert sorted(found) == sorted(set(found))
