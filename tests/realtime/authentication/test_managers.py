"""User models with several managers: sockets find whom SimpleJWT and Django's backend find."""

import json

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User, UserManager
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from realtime.authentication import session_identities, users
from realtime.authentication.tickets import redeem
from realtime.authentication.verification import authenticate
from realtime.changes import changes
from realtime.exceptions import AuthenticationError
from realtime.layers import get_layer
from realtime.models import Room
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)

DELETED = "deleted"


class Present(UserManager):
    """Hides the accounts that are deleted softly: here, by their last name."""

    def get_queryset(self):
        return super().get_queryset().exclude(last_name=DELETED)


@pytest.fixture
def hub_layer(settings):
    """The site's own layer, which signals speak to."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


@pytest.fixture
def present():
    manager = Present()
    manager.model, manager.name = User, "objects"
    return manager


@pytest.fixture(autouse=True)
def managers(present, monkeypatch):
    """As of a model with `everybody = Manager()` first and `objects = Present()` after it."""
    monkeypatch.setattr(User, "objects", present)


@pytest.fixture(autouse=True)
async def hearing(node):
    """This process is notified of changes, so it may use its caches."""
    await node.control.hear()


@pytest.fixture
def alice():
    return User._base_manager.create(username="alice", password="!")


def token(user):
    made = AccessToken.for_user(user)
    made["hash_password"] = get_md5_hash_password(user.password)
    return str(made)


def session_key(user):
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser.cookies["sessionid"].value


def rooms_status(**credential):
    return Client(**credential.pop("client", {})).get("/realtime/rooms/", **credential).status_code


async def enters(function, *args):
    try:
        return (await function(*args)).user.username == "alice"
    except AuthenticationError:
        return False


async def from_session(key):
    return await sync_to_async(session_identities.identity_from_session)(key)


@sync_to_async
def delete(user, *, signal):
    user.last_name = DELETED
    if signal:
        user.save(update_fields=["last_name"])
    else:
        User._base_manager.filter(pk=user.pk).update(last_name=DELETED)


async def test_a_deleted_account_is_refused_as_over_http(alice):
    raw = await sync_to_async(token)(alice)
    bearer = {"headers": {"Authorization": f"Bearer {raw}"}}
    assert await enters(authenticate, raw)
    assert await sync_to_async(rooms_status)(**bearer) == 200
    await delete(alice, signal=False)
    changes.record(user=str(alice.pk))
    assert await sync_to_async(rooms_status)(**bearer) == 401
    assert not await enters(authenticate, raw)


async def test_a_session_is_found_by_the_manager_of_djangos_backend(alice):
    key = await sync_to_async(session_key)(alice)
    await delete(alice, signal=False)
    changes.record(user=str(alice.pk))
    assert await enters(from_session, key)


async def test_a_session_is_refused_if_djangos_backend_refuses_it(alice, present, monkeypatch):
    monkeypatch.setattr(User._meta, "default_manager", present)
    key = await sync_to_async(session_key)(alice)
    assert await enters(from_session, key)
    await delete(alice, signal=False)
    changes.record(user=str(alice.pk))
    assert not await enters(from_session, key)


@pytest.mark.parametrize("way", ["token", "session"])
async def test_a_ticket_keeps_the_manager_of_its_sign_in(alice, way):
    @sync_to_async
    def get_ticket():
        browser = Client()
        if way == "session":
            browser.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
            answer = browser.post("/realtime/ticket/")
        else:
            bearer = {"Authorization": f"Bearer {token(alice)}"}
            answer = browser.post("/realtime/ticket/", headers=bearer)
        return async_to_sync(get_layer().redeem_ticket)(answer.json()["ticket"])

    kept = await get_ticket()
    assert json.loads(kept)["manager"] == ("objects" if way == "token" else "")
    assert await enters(redeem, kept)
    await delete(alice, signal=False)
    changes.record(user=str(alice.pk))
    assert await enters(redeem, kept) is (way == "session")


@pytest.mark.parametrize("signal", [True, False])
async def test_open_connections_of_a_deleted_account_are_closed(alice, open_session, node, signal):
    await Room.objects.acreate(name="lobby", access=Room.Access.AUTHENTICATED)
    raw, key = await sync_to_async(lambda: (token(alice), session_key(alice)))()
    by_token = open_session(await authenticate(raw))
    by_session = open_session(await from_session(key))
    for session in (by_token, by_session):
        assert "connect" in await call(session, connect={})
        assert "subscribe" in await call(session, subscribe={"channel": "lobby"})
    await delete(alice, signal=signal)
    if not signal:
        node.reviewer.on_change(str(alice.pk), None)
    assert await by_token.transport.until_closed() == 3500
    # Django's own backend does not know of the deletion, over HTTP either.
    assert "publish" in await call(by_session, publish={"channel": "lobby", "data": 1})
    assert by_session.transport.closed is None


async def test_one_manager_takes_one_query_for_tokens_and_sessions(monkeypatch, alice):
    assert users.manager_of_tokens() == "objects"
    monkeypatch.undo()
    assert users.manager_of_tokens() == ""
