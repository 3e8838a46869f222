"""The checks of the site around this app."""

from django.db import models

from realtime import checks
from tests.support.checking import ids


def test_a_site_without_the_backend_is_warned(settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert ids(checks.check_backend()) == ["realtime.W001"]


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
