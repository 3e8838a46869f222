"""Connections end with their Django session, whatever holds the sessions."""

import pytest
from django.contrib.sessions.models import Session
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client
from django.utils import timezone

from realtime.authentication import django_sessions
from realtime.codes import CloseCode
from realtime.control import session_watch
from realtime.control.session_watch import SessionWatch
from realtime.exceptions import AuthenticationUnavailable, LayerUnavailable

pytestmark = pytest.mark.django_db(transaction=True)

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


class Connection:
    def __init__(self, session_key):
        self.session_key = session_key
        self.closed = None

    def close(self, code, reason=""):
        self.closed = code


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(session_watch, "SECOND_LOOK_SECONDS", 0)


@pytest.fixture(params=ENGINES)
def client(request, settings, alice, tmp_path):
    """A browser in which Alice is signed in."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    client = Client()
    client.force_login(alice)
    return client


def key_of(client, settings):
    return client.cookies[settings.SESSION_COOKIE_NAME].value


async def test_a_connection_stays_while_its_session_does(client, settings):
    connection = Connection(key_of(client, settings))
    await SessionWatch([connection, Connection("")]).look()
    assert connection.closed is None


async def test_a_connection_ends_when_its_session_is_deleted(client, settings, request):
    if "signed_cookies" in request.node.callspec.id:
        pytest.skip("a signed cookie can't be deleted on the server")
    connection, other = Connection(key_of(client, settings)), Connection("")
    await client.session.adelete(connection.session_key)
    await SessionWatch([connection, other]).look()
    assert connection.closed is CloseCode.INVALID_TOKEN
    assert other.closed is None


async def test_a_connection_ends_when_its_session_expires(settings, client):
    connection = Connection(key_of(client, settings))
    if settings.SESSION_ENGINE.endswith("db"):
        await Session.objects.aupdate(expire_date=timezone.now())
    else:
        settings.SESSION_COOKIE_AGE = -1
        if settings.SESSION_ENGINE.endswith("cache"):
            client.session.save()
    await SessionWatch([connection]).look()
    assert connection.closed is CloseCode.INVALID_TOKEN


async def test_a_session_that_got_a_new_key_in_between_stays(
    client, settings, request, monkeypatch
):
    if "signed_cookies" in request.node.callspec.id:
        pytest.skip("a signed cookie has no key on the server")
    connection = Connection(key_of(client, settings))
    await client.session.adelete(connection.session_key)

    async def renamed(seconds):
        connection.session_key = ""

    monkeypatch.setattr(session_watch.asyncio, "sleep", renamed)
    await SessionWatch([connection]).look()
    assert connection.closed is None


class AbsentCache(LocMemCache):
    """A cache whose server does not answer."""

    def get(self, *args, **kwargs):
        raise ConnectionError

    has_key = get


@pytest.fixture
def without_cache(settings):
    """`without_cache()`: the server of the cache stops, and Django does not see its sessions."""

    def _stop():
        path = f"{__name__}.AbsentCache"
        settings.CACHES = {"default": {"BACKEND": path, "LOCATION": "absent"}}
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"

    return _stop


async def test_a_connection_stays_while_the_sessions_cannot_be_read(without_cache):
    without_cache()
    connection = Connection("a" * 32)
    with pytest.raises(LayerUnavailable):
        await SessionWatch([connection]).look()
    assert connection.closed is None


def test_a_client_may_try_again_while_the_sessions_cannot_be_read(without_cache):
    without_cache()
    with pytest.raises(AuthenticationUnavailable):
        django_sessions.identity_from_session("a" * 32)
