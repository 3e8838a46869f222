"""Connections end with their Django session, whatever holds the sessions."""

import asyncio
import time

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from realtime.authentication import (
    Identity,
    django_sessions,
    django_sign_in,
    session_identities,
)
from realtime.authentication.sealing import seal
from realtime.codes import CloseCode
from realtime.control import session_watch
from realtime.control.messages import NewSignIn, to_dict
from realtime.control.session_watch import SessionWatch
from realtime.exceptions import AuthenticationUnavailable, LayerUnavailable
from realtime.sign_ins import SignInMiddleware
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)

ENGINES = ["db", "cached_db", "cache", "cache on Redis", "file", "signed_cookies"]


class Connection:
    def __init__(self, session_key):
        self.session_key = session_key
        self.closed = None
        self.ended = asyncio.Event()

    def close(self, code, reason=""):
        self.closed = code
        self.ended.set()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(session_watch, "SECOND_LOOK_SECONDS", 0)


@pytest.fixture(params=ENGINES)
def client(request, settings, alice, tmp_path, redis_server):
    """A browser in which Alice is signed in."""
    engine, _, cache = request.param.partition(" on ")
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    if cache:
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": f"{redis_server}/9"}}
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
    # Of a session in a cookie the browser may have a newer one: it may come back.
    in_cookie = settings.SESSION_ENGINE.endswith("cookies")
    assert connection.closed is (CloseCode.EXPIRED if in_cookie else CloseCode.INVALID_TOKEN)


@pytest.fixture
def short_session(settings, monkeypatch):
    """`key, ends = await short_session(client)`: a session that ends in some seconds."""
    monkeypatch.setattr(session_watch, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(session_watch, "PROBE_SECONDS", 0.1)
    settings.REALTIME = {"RECHECK_SECONDS": 3600}
    settings.SESSION_COOKIE_AGE = 3

    def _sign_in(client):
        client.session.flush()
        client.force_login(User.objects.get(username="alice"))
        return client.cookies[settings.SESSION_COOKIE_NAME].value

    return sync_to_async(_sign_in)


async def test_a_connection_ends_when_its_session_does(client, short_session):
    asked = time.time()
    key = await short_session(client)
    connection = Connection(key)
    watch = SessionWatch([connection])
    watch.watch(key)
    async with asyncio.timeout(20):
        await connection.ended.wait()
    assert time.time() > asked + 2, "3 s, and some stores count whole seconds"
    await watch.close()


@pytest.mark.parametrize("client", ["db", "cached_db", "cache on Redis", "file"], indirect=True)
async def test_a_session_that_was_extended_lives_on(client, settings, monkeypatch):
    monkeypatch.setattr(session_watch, "PAUSE_SECONDS", 0.05)
    settings.REALTIME = {"RECHECK_SECONDS": 3600}
    key = key_of(client, settings)
    connection = Connection(key)
    watch = SessionWatch([connection])
    watch._ends[key] = time.time() - 1  # when it would have ended, as it was read before
    watch.watch(key)
    async with asyncio.timeout(20):
        while watch._ends[key] < time.time():
            await asyncio.sleep(0.01)
    assert connection.closed is None
    await watch.close()


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
        session_identities.identity_from_session("a" * 32)


async def test_a_session_is_watched_under_its_new_key(open_session, node, alice):
    identity = Identity(alice, session_id=django_sign_in("old"), session_key="old")
    session = open_session(identity)
    node.sessions.add(session)
    await call(session, connect={})
    message = NewSignIn(
        str(alice.pk), django_sign_in("old"), django_sign_in("new"), seal("new", "old")
    )
    node.control.carry_out({**to_dict(message), "id": "1"})
    assert session.session_key == "new"
    assert "new" in node.control._session_watch._new


@pytest.mark.parametrize("client", ["cache on Redis"], indirect=True)
async def test_redis_is_not_asked_again_before_a_session_ends(client, settings, monkeypatch):
    monkeypatch.setattr(session_watch, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(session_watch, "PROBE_SECONDS", 0.01)
    key = key_of(client, settings)
    watch = SessionWatch([Connection(key)])
    watch.watch(key)
    async with asyncio.timeout(20):
        while key not in watch._ends:
            await asyncio.sleep(0.01)
    left = watch._ends[key] - time.time()
    assert settings.SESSION_COOKIE_AGE - 60 < left <= settings.SESSION_COOKIE_AGE
    looks = []
    monkeypatch.setattr(session_watch, "_read", looks.append)
    await asyncio.sleep(0.1)
    assert looks == []
    await watch.close()


@pytest.mark.parametrize("client", ["cache"], indirect=True)
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_end_that_no_cache_tells_is_noted_by_the_middleware(
    client, settings, monkeypatch, is_async
):
    key = key_of(client, settings)
    settings.SESSION_COOKIE_AGE = 3
    request = RequestFactory().get("/")
    request.session = client.session
    request.session["cart"] = 1

    async def answer(request):
        return HttpResponse()

    if is_async:
        await SignInMiddleware(answer)(request)
    else:
        await sync_to_async(SignInMiddleware(lambda request: HttpResponse()))(request)
    await sync_to_async(request.session.save)()  # as Django's own middleware does
    ends = await sync_to_async(django_sessions.ends)([key])
    assert 0 < ends[key] - time.time() <= 3.5
    monkeypatch.setattr(session_watch, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(session_watch, "PROBE_SECONDS", 3600)
    monkeypatch.setattr(session_watch, "SECOND_LOOK_SECONDS", 3600)
    connection = Connection(key)
    watch = SessionWatch([connection])
    watch.watch(key)
    async with asyncio.timeout(20):
        await connection.ended.wait()
    assert time.time() >= ends[key]
    await watch.close()


def test_a_visitor_gets_no_session_for_it(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    request = RequestFactory().get("/")
    request.session = django_sessions._store()()
    request.session["cart"] = 1
    SignInMiddleware(lambda request: HttpResponse())(request)
    assert list(request.session.keys()) == ["cart"]
