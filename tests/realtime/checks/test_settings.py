"""The checks of the dict `REALTIME`."""

import pytest

from realtime import checks, conf
from tests.support.checking import ids

OURS = "realtime.authentication"
SIMPLEJWT = "rest_framework_simplejwt.authentication"


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
        ({"SERVER_ROOMS": "nowhere.function"}, "realtime.E005"),
        ({"AUTHENTICATOR": f"{SIMPLEJWT}.JWTStatelessUserAuthentication"}, "realtime.E012"),
        ({"AUTHENTICATOR": f"{SIMPLEJWT}.JWTAuthentication"}, "realtime.E012"),
        ({"AUTHENTICATOR": "uuid.UUID"}, "realtime.E012"),
        ({"UNKNOWN_USERS": "nowhere.function"}, "realtime.E031"),
        ({"UNKNOWN_USERS": "Create"}, "realtime.E031"),
        ({"UNKNOWN_USERS": "realtime.conf.KEYS"}, "realtime.E031"),
        ({"UNKNOWN_USERS": "create"}, "realtime.E032"),
        ({"SCOPES": {"chat": "realtime:join"}}, "realtime.E033"),
        ({"SCOPES": {"chat": ["join"]}}, "realtime.E033"),
        ({"SCOPES": {"chat": [5]}}, "realtime.E033"),
        ({"SCOPES": ["chat"]}, "realtime.E003"),
        ({"AUTHORIZED_PARTIES": "web"}, "realtime.E003"),
        ({"AUTHENTICATOR": f"{OURS}.allauth.AccessTokenAuthenticator"}, "realtime.E034"),
        ({"AUTHENTICATOR": f"{OURS}.oauth_toolkit.AccessTokenAuthenticator"}, "realtime.E034"),
        (["PING_SECONDS"], "realtime.E001"),
        ({"PATH": "<path:room>/"}, "realtime.E016"),
        ({"PATH": "ws//"}, "realtime.E016"),
        ({"SOCKETIO_EVENTS": {"join": "lobby"}}, "realtime.E036"),
        ({"SOCKETIO_EVENTS": {"closed": "lobby"}}, "realtime.E036"),
        ({"SOCKETIO_EVENTS": {"disconnect": "lobby"}}, "realtime.E036"),
        ({"SOCKETIO_EVENTS": {"chat message": "a room"}}, "realtime.E036"),
        ({"SOCKETIO_EVENTS": {5: "lobby"}}, "realtime.E036"),
        ({"SOCKETIO_NAMESPACES": ["/"]}, "realtime.E037"),
        ({"SOCKETIO_NAMESPACES": ["/a,b"]}, "realtime.E037"),
        ({"PATH": "ws/?x"}, "realtime.E016"),
        ({"TOKEN_MAX_BYTES": 2_000_000}, "realtime.E011"),
        ({"TOKEN_MAX_BYTES": 20_000, "CREDENTIALS": ["header"]}, "realtime.W011"),
    ],
)
def test_mistakes_are_errors_with_a_hint(settings, configured, id):
    settings.REALTIME = configured
    messages = checks.check_settings()
    assert ids(messages) == [id]
    assert messages[0].hint


def test_all_mistakes_are_reported_together(settings):
    settings.REALTIME = {
        **{"PING_SECOND": 1, "PING_SECONDS": "25", "CREDENTIALS": ["headers"], "PATH": "ws//"},
        **{"AUTHENTICATOR": 5, "USER_INFO": "nowhere.function", "TOKEN_MAX_BYTES": 2_000_000},
    }
    assert sorted(ids(checks.check_settings())) == [
        f"realtime.{id}" for id in ("E002", "E003", "E003", "E004", "E005", "E011", "E016")
    ]


@pytest.mark.parametrize("value", [5, "text", None, [5], {"a": 1}])
@pytest.mark.parametrize("key", conf.KEYS)
def test_no_check_breaks_at_a_value_of_a_wrong_type(settings, key, value):
    settings.REALTIME = {key: value}
    for check in (*checks.ALL, *checks.FOR_DEPLOYMENT):
        assert all(message.id for message in check())


def test_an_unknown_key_gets_the_nearest_one(settings):
    settings.REALTIME = {"PING_SECOND": 1}
    assert checks.check_settings()[0].hint == "Did you mean 'PING_SECONDS'?"


def test_a_text_in_place_of_a_list_is_shown_in_a_list(settings):
    settings.REALTIME = {"ALLOWED_ORIGINS": "https://x.y"}
    (message,) = checks.check_settings()
    assert message.msg == 'REALTIME["ALLOWED_ORIGINS"] is not a list.'
    assert message.hint == "Write ['https://x.y']."
