"""Subscriptions by a token: whatever the rules say, until the token ends or is taken back."""

import asyncio
import time

import jwt
import pytest
from django.contrib.auth.models import AnonymousUser, User
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from realtime import grant, rooms
from realtime.authentication import Identity
from realtime.authentication.subscription_tokens import issue
from realtime.changes import changes
from realtime.control import announcements
from realtime.control.messages import to_dict
from realtime.models import Membership, Room
from realtime.rights.answers import NOTHING, Answer
from realtime.rooms import room_types
from realtime.rooms.publications import Retention
from tests.support.sessions import call, is_publication

pytestmark = pytest.mark.django_db(transaction=True)


def is_unsubscribe(frame):
    return "unsubscribe" in frame.get("push", {})


@pytest.fixture
def secret():
    return Room.objects.create(name="secret")


@pytest.fixture
async def revoke(node):
    """Take back what was granted, as `realtime.revoke` does."""

    async def _revoke(room, user=None):
        message = announcements.revocation(user=user, room=room)
        await asyncio.to_thread(announcements._send, node.layer, message)

    return _revoke


async def subscribe(session, room="secret", **body):
    return await call(session, subscribe={"channel": room, **body})


async def unsubscribed(session):
    push = (await session.transport.until(is_unsubscribe))["push"]
    return push["channel"], push["unsubscribe"]["code"]


async def test_a_token_opens_a_room_for_reading(connected, alice, secret, node):
    assert (await subscribe(connected))["error"]["code"] == 103
    reply = (await subscribe(connected, token=grant("secret", user=alice, seconds=60)))["subscribe"]
    assert reply["expires"] is True and 50 < reply["ttl"] <= 60
    await node.layer.append("secret", b'{"data":1}', Retention(10, 60))
    assert (await connected.transport.until(is_publication))["push"]["pub"]["data"] == 1
    assert "history" in await call(connected, history={"channel": "secret"})
    refused = await call(connected, publish={"channel": "secret", "data": 1})
    assert refused["error"]["code"] == 103
    assert (await subscribe(connected))["error"]["code"] == 105


async def test_beside_a_right_it_takes_nothing_away(connected, alice, lobby):
    reply = await subscribe(connected, "lobby", token=grant("lobby", user=alice))
    assert reply["subscribe"]["expires"] is True
    assert "publish" in await call(connected, publish={"channel": "lobby", "data": 1})


async def test_a_room_in_code(connected, alice, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])

    @rooms.register("vault/<int:pk>")
    class Vault(rooms.RoomType):
        def can_join(self, user, pk):
            return False

    assert (await subscribe(connected, "vault/1"))["error"]["code"] == 103
    token = grant("vault/1", user=alice)
    assert "subscribe" in await subscribe(connected, "vault/1", token=token)
    assert (await subscribe(connected, "vault/2", token=token))["error"]["code"] == 103


@pytest.mark.parametrize("room", ["absent", "old", "_user/999", "..", ""])
async def test_no_token_opens_what_is_not_there_or_is_somebody_elses(connected, alice, room):
    await Room.objects.acreate(name="old", archived=True)
    answer = await subscribe(connected, room, token=issue(room, str(alice.pk), 60))
    assert answer["error"]["code"] == (103 if room else 107)
    assert connected.identity.granted is None


async def test_it_opens_the_room_for_its_user_alone(open_session, connected, alice, secret):
    bob = await User.objects.acreate(username="bob")
    token = grant("secret", user=bob)
    assert (await subscribe(connected, token=token))["error"]["code"] == 103
    other = open_session(Identity(bob))
    await call(other, connect={})
    assert (await subscribe(other))["error"]["code"] == 103
    assert "subscribe" in await subscribe(other, token=token)
    # What is known of one connection is not used for another one of the same user.
    third = open_session(Identity(bob))
    await call(third, connect={})
    assert (await subscribe(third))["error"]["code"] == 103


async def test_the_scopes_of_the_connection_still_narrow(open_session, alice, secret):
    session = open_session(Identity(alice, scopes=frozenset({"realtime:join:lobby"})))
    await call(session, connect={})
    answer = await subscribe(session, token=grant("secret", user=alice))
    assert answer["error"]["code"] == 103


async def test_anonymous_users_have_none(open_session, settings, secret):
    settings.REALTIME = {"ALLOW_ANONYMOUS": True}
    session = open_session(Identity(AnonymousUser()))
    await call(session, connect={})
    assert (await subscribe(session, token=issue("secret", "", 60)))["error"]["code"] == 103


async def test_a_token_that_is_wrong_is_refused_also_beside_a_right(connected, alice, lobby):
    assert (await subscribe(connected, "lobby", token="x.y.z"))["error"]["code"] == 103
    expired = issue("lobby", str(alice.pk), -60)
    assert (await subscribe(connected, "lobby", token=expired))["error"] == {
        "code": 109, "message": "token expired",
    }  # fmt: skip
    assert "subscribe" in await subscribe(connected, "lobby")


async def test_reviews_of_rights_respect_it(connected, alice, secret, node):
    await subscribe(connected, token=grant("secret", user=alice))
    membership = await Membership.objects.acreate(room=secret, user=alice)
    await reviewed(node, connected)
    assert "publish" in connected.rooms["secret"].actions
    await membership.adelete()
    await reviewed(node, connected)
    assert connected.rooms["secret"].actions == {"join"}
    assert not any(map(is_unsubscribe, connected.transport.frames))


async def reviewed(node, session):
    """Wait until the rights of a session were looked at again."""
    version = changes.version
    changes.record(session.user_id, None)
    node.reviewer.look_at([session])
    async with asyncio.timeout(60):
        while session.rooms and min(held.version for held in session.rooms.values()) <= version:
            await asyncio.sleep(0.01)


async def test_a_rule_that_was_asked_before_the_token_came_does_not_overrule_it(
    connected, alice, secret, node
):
    before, version = connected.identity, changes.version
    await subscribe(connected, token=grant("secret", user=alice))
    late = Answer(alice, {"secret": NOTHING})
    await node.reviewer._accept_apart(connected, before, late, version + 1)
    await reviewed(node, connected)
    assert connected.rooms["secret"].actions == {"join"}


async def test_an_archived_room_is_closed_all_the_same(connected, alice, secret, node):
    await subscribe(connected, token=grant("secret", user=alice))
    await Room.objects.filter(pk=secret.pk).aupdate(archived=True)
    node.reviewer.on_change(None, "secret")
    assert await unsubscribed(connected) == ("secret", 2000)


async def test_a_disabled_user_is_out_all_the_same(connected, alice, secret, node):
    await subscribe(connected, token=grant("secret", user=alice))
    await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
    node.reviewer.on_change(str(alice.pk), None)
    assert await connected.transport.until_closed() == 3500


class Test_the_end_of_a_token:
    @pytest.fixture(autouse=True)
    def grace(self, settings):
        settings.REALTIME = {"EXPIRY_GRACE_SECONDS": 0.3}

    async def test_ends_the_subscription_after_the_grace(self, connected, alice, secret):
        begun = time.monotonic()
        await subscribe(connected, token=grant("secret", user=alice, seconds=0.5))
        assert await unsubscribed(connected) == ("secret", 2501)
        assert time.monotonic() - begun > 0.7
        assert "secret" not in connected.rooms and connected.identity.granted is None

    async def test_does_not_if_there_is_a_right_by_then(self, connected, alice, secret, node):
        await subscribe(connected, token=grant("secret", user=alice, seconds=0.2))
        await Membership.objects.acreate(room=secret, user=alice)
        async with asyncio.timeout(60):
            while connected.caller.is_granted("secret"):
                await asyncio.sleep(0.05)
        await reviewed(node, connected)
        assert connected.rooms["secret"].actions == {"join", "publish"}
        assert not any(map(is_unsubscribe, connected.transport.frames))

    async def test_is_put_off_by_a_newer_one(self, connected, alice, secret):
        await subscribe(connected, token=grant("secret", user=alice, seconds=0.5))
        newer = grant("secret", user=alice, seconds=60)
        renewed = await call(connected, sub_refresh={"channel": "secret", "token": newer})
        assert renewed["sub_refresh"]["expires"] is True and renewed["sub_refresh"]["ttl"] > 50
        await asyncio.sleep(2.2)  # the first one, and the second it is rounded up by, have to end
        assert not any(map(is_unsubscribe, connected.transport.frames))
        assert "history" in await call(connected, history={"channel": "secret"})


class Test_renewing:
    @pytest.fixture
    async def member(self, connected, alice, secret):
        await subscribe(connected, token=grant("secret", user=alice))
        return connected

    async def renew(self, session, token, room="secret"):
        return (await call(session, sub_refresh={"channel": room, "token": token}))["error"]

    async def test_needs_a_subscription(self, connected, alice, secret):
        assert (await self.renew(connected, grant("secret", user=alice)))["code"] == 103
        assert connected.identity.granted is None

    async def test_with_a_wrong_token_is_refused_and_the_old_one_stays(self, member, alice):
        assert (await self.renew(member, "x.y.z"))["code"] == 103
        assert (await self.renew(member, ""))["code"] == 103
        expired = await self.renew(member, issue("secret", str(alice.pk), -60))
        assert (expired["code"], expired["temporary"]) == (109, True)
        assert member.caller.is_granted("secret")

    async def test_after_unsubscribe_nothing_is_left_of_it(self, member, alice):
        await call(member, unsubscribe={"channel": "secret"})
        assert member.identity.granted is None
        assert (await subscribe(member))["error"]["code"] == 103

    async def test_a_refresh_of_the_connection_keeps_it(self, member, alice):
        assert "refresh" in await call(member, refresh={"token": str(AccessToken.for_user(alice))})
        assert member.caller.is_granted("secret")


class Test_taking_back:
    @pytest.fixture
    def hub_layer(self, either_layer):
        return either_layer

    @pytest.fixture
    def token(self, alice):
        """One that was issued some seconds ago: clocks may differ."""
        return reissued(grant("secret", user=alice), -10)

    @pytest.mark.parametrize("of_everybody", [False, True])
    async def test_ends_open_subscriptions_and_refuses_the_token(
        self, connected, alice, secret, token, revoke, node, of_everybody
    ):
        node.sessions.add(connected)
        await subscribe(connected, token=token)
        await revoke("secret", None if of_everybody else alice)
        assert await unsubscribed(connected) == ("secret", 2000)
        assert (await subscribe(connected, token=token))["error"]["code"] == 109

    async def test_keeps_back_what_is_said_after_it(self, connected, alice, secret, token, node):
        await subscribe(connected, token=token)
        node.control.carry_out(to_dict(announcements.revocation(user=alice, room="secret")))
        await node.layer.append("secret", b'{"data":1}', Retention(10, 60))
        assert await unsubscribed(connected) == ("secret", 2000)
        assert not any(map(is_publication, connected.transport.frames))

    async def test_leaves_rights_and_others_alone(
        self, connected, open_session, alice, secret, revoke
    ):
        bob = await User.objects.acreate(username="bob")
        await Membership.objects.acreate(room=secret, user=alice)
        other = open_session(Identity(bob))
        await call(other, connect={})
        await subscribe(other, token=grant("secret", user=bob))
        await subscribe(connected, token=grant("secret", user=alice))
        await revoke("secret", alice)
        async with asyncio.timeout(60):
            while connected.identity.granted is not None:
                await asyncio.sleep(0.01)
        assert "publish" in await call(connected, publish={"channel": "secret", "data": 1})
        assert other.caller.is_granted("secret")
        assert not any(map(is_unsubscribe, other.transport.frames))

    async def test_a_grant_after_it_is_accepted_soon(self, connected, alice, secret, revoke):
        await revoke("secret", alice)
        later = reissued(grant("secret", user=alice), 10)
        assert "subscribe" in await subscribe(connected, token=later)


def reissued(token, seconds):
    """The same token, issued so many seconds later."""
    claims = jwt.decode(token, options={"verify_signature": False})
    claims["iat"] += seconds
    return jwt.encode(claims, api_settings.SIGNING_KEY, algorithm="HS256")
