"""Which changes of a session's key the middleware announces."""

import pytest
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponse
from django.test import Client, RequestFactory

from realtime.authentication import django_sign_in
from realtime.authentication.sealing import unseal
from realtime.control import sign_ins
from realtime.control.messages import NewSignIn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["db", "cached_db", "cache", "file"])
def client(request, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    return Client()


@pytest.fixture
def announced(monkeypatch):
    sent = []
    monkeypatch.setattr(sign_ins, "announce_after_commit", sent.append)
    return sent


@pytest.fixture
def request_with(client, settings):
    """`request_with(key, view)` calls a view in the session with this key."""

    def _call(key, view):
        request = RequestFactory().get("/")
        request.COOKIES[settings.SESSION_COOKIE_NAME] = key

        def answer(request):
            view(request)
            return HttpResponse()

        return SessionMiddleware(sign_ins.SignInMiddleware(answer))(request)

    return _call


def test_a_new_key_is_announced(alice, client, request_with, announced):
    client.force_login(alice)
    new = []

    def view(request):
        request.session.cycle_key()
        new.append(request.session.session_key)

    before = client.session.session_key
    request_with(before, view)
    (sent,) = announced
    assert sent.user == str(alice.pk)
    assert (sent.old, sent.new) == (django_sign_in(before), django_sign_in(new[0]))
    assert unseal(sent.sealed_key, before) == new[0]
    assert new[0] not in repr(sent)


def test_the_end_of_a_session_is_announced(alice, client, request_with, announced):
    client.force_login(alice)
    key = client.session.session_key
    request_with(key, lambda request: request.session.flush())
    assert announced == [NewSignIn("", django_sign_in(key), "")]


def test_a_cookie_that_anybody_can_make_up_is_not_announced(request_with, announced):
    request_with("a" * 32, lambda request: request.session.get("x"))
    assert announced == []


def test_another_user_in_a_session_is_announced_without_the_middleware(
    alice, client, settings, announced
):
    client.force_login(alice)
    key = client.session.session_key
    announced.clear()
    request = RequestFactory().get("/")
    request.COOKIES[settings.SESSION_COOKIE_NAME] = key

    def view(request):
        bob = User.objects.create_user("bob")
        login(request, bob, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponse()

    SessionMiddleware(view)(request)
    assert announced == [NewSignIn("", django_sign_in(key), "")]
