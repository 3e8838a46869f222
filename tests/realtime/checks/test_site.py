"""The checks of the site around this app."""

import pytest
from django.contrib.auth.models import User
from django.db import models

from realtime import checks
from tests.support.checking import ids

MODEL_BACKEND, ROOM_BACKEND = (
    "django.contrib.auth.backends.ModelBackend",
    "realtime.rights.RoomBackend",
)


@pytest.mark.parametrize(
    ("backends", "warned"),
    [
        ([MODEL_BACKEND], []),
        (["realtime.rights.ModelBackend"], []),
        ([MODEL_BACKEND, ROOM_BACKEND], ["realtime.W030"]),
        # With more backends its sign-in views name one anyway.
        ([MODEL_BACKEND, "allauth.Backend", ROOM_BACKEND], []),
    ],
)
def test_a_second_backend_breaks_sign_in_views(settings, backends, warned):
    settings.AUTHENTICATION_BACKENDS = backends
    assert ids(checks.check_backend()) == warned


@pytest.mark.parametrize(("backend", "warned"), [(MODEL_BACKEND, True), (ROOM_BACKEND, False)])
def test_a_user_model_that_decides_itself_never_hears_of_rooms(
    settings, monkeypatch, backend, warned
):
    class Strict:
        _meta = User._meta

        def has_perm(self, perm, obj=None):
            return False

    monkeypatch.setattr("realtime.checks.site.get_user_model", lambda: Strict)
    settings.AUTHENTICATION_BACKENDS = [backend]
    assert ids(checks.check_backend()) == ["realtime.W001"] * warned


def test_sessions_as_credentials_want_the_middleware(settings):
    sessions = "django.contrib.sessions.middleware.SessionMiddleware"
    ours = "realtime.sign_ins.SignInMiddleware"
    settings.MIDDLEWARE = [sessions, ours]
    assert checks.check_middleware() == []
    settings.MIDDLEWARE = []
    assert checks.check_middleware() == [], "a site without sessions"
    settings.MIDDLEWARE = [sessions]
    assert ids(checks.check_middleware()) == ["realtime.W005"]
    settings.MIDDLEWARE = [ours, sessions]
    assert ids(checks.check_middleware()) == ["realtime.E014"]
    settings.REALTIME = {"CREDENTIALS": ["header"]}
    settings.MIDDLEWARE = [sessions]
    assert checks.check_middleware() == []


def test_sessions_that_no_server_holds_are_reported(settings):
    settings.REALTIME = {"CREDENTIALS": ["session"]}
    assert checks.check_sessions() == []
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert ids(checks.check_sessions()) == ["realtime.W014"]
    settings.REALTIME = {"CREDENTIALS": ["header"]}
    assert checks.check_sessions() == []


def test_a_user_model_that_cannot_sign_in_is_an_error(monkeypatch):
    class Visitor(models.Model):
        is_anonymous = False

        class Meta:
            app_label = "visitors"
            abstract = True

    assert checks.check_user_model() == []
    monkeypatch.setattr(checks.site, "get_user_model", lambda: Visitor)
    found = checks.check_user_model()
    assert ids(found) == ["realtime.E013", "realtime.E013"]
    assert "no is_active" in found[0].msg and "AbstractBaseUser" in found[0].hint
