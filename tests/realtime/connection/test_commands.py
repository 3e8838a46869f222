"""The hooks of a site that answer commands, in rooms of code and beside them."""

import pytest

from realtime import rooms
from realtime.authentication import Identity
from realtime.connection import commands
from realtime.connection.session import State
from realtime.rooms import handlers, room_types
from tests.support.sessions import call, is_publication, send

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("option", [{"tf": {"key": "a"}}, {"tf": {}}, {"type": 1}, {"type": 4}])
async def test_a_subscription_that_would_be_another_one_is_refused(
    open_session, alice, lobby, option
):
    """A client that gets more than it asked for, or something else, has to be told."""
    session = open_session(Identity(alice))
    reply = await call(session, connect={"subs": {"lobby": option}})
    assert "subs" not in reply["connect"]
    reply = await call(session, subscribe={"channel": "lobby", **option})
    assert reply["error"]["code"] == 108
    assert session.rooms == {}


async def test_what_makes_no_difference_is_declined_as_the_protocol_has_it(connected, lobby):
    """Differences between messages, and numbers for rooms: the reply does not confirm them."""
    options = {"delta": "fossil", "flag": 1, "type": 0, "tf": None}
    reply = (await call(connected, subscribe={"channel": "lobby", **options}))["subscribe"]
    assert {"delta", "id", "type"}.isdisjoint(reply)


class Test_rooms_in_code:
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch):
        monkeypatch.setattr(room_types, "_types", [])
        monkeypatch.setattr(handlers, "_rpc", {})
        monkeypatch.setattr(handlers, "_message_handlers", [])

        @rooms.register("orders/<int:pk>")
        class OrderRoom(rooms.RoomType):
            def can_join(self, user, pk):
                if pk == 500:
                    raise RuntimeError("broken rule")
                return {1: True, 2: 1, 3: None, 4: "yes"}.get(pk, False)

            def on_publish(self, user, data, pk):
                if data == "no":
                    raise rooms.Rejected("Orders are closed on Sundays.")
                if data == "set":
                    return {1, 2}
                return {"order": pk, "text": data}

        @rooms.register("async/<slug:name>")
        class AsyncRoom(rooms.RoomType):
            async def can_join(self, user, name):
                return name == "open"

        @rooms.rpc("echo")
        def echo(user, data):
            return {"user": user.username, "data": data}

        @rooms.rpc("broken")
        async def broken(user, data):
            raise RuntimeError("payload-secret" if data is None else "other")

    async def test_the_hook_decides_and_only_true_is_a_yes(self, connected, caplog):
        assert "subscribe" in await call(connected, subscribe={"channel": "orders/1"})
        for pk in (2, 3, 4, 5, 500):
            reply = await call(connected, subscribe={"channel": f"orders/{pk}"})
            assert reply["error"]["code"] == 103, pk
        assert connected.state is State.CONNECTED

    async def test_async_hooks_are_asked_too(self, connected):
        assert "subscribe" in await call(connected, subscribe={"channel": "async/open"})
        reply = await call(connected, subscribe={"channel": "async/closed"})
        assert reply["error"]["code"] == 103

    async def test_on_publish_may_change_or_reject(self, connected):
        await call(connected, subscribe={"channel": "orders/1"})
        await call(connected, publish={"channel": "orders/1", "data": "hi"})
        pub = (await connected.transport.until(is_publication))["push"]["pub"]
        assert pub["data"] == {"order": 1, "text": "hi"}
        error = (await call(connected, publish={"channel": "orders/1", "data": "no"}))["error"]
        assert error == {"code": 103, "message": "Orders are closed on Sundays."}

    async def test_each_hook_may_refuse_with_a_code_of_the_application(self, connected):
        @rooms.register("paid/<slug:name>")
        class PaidRoom(rooms.RoomType):
            def can_join(self, user, name):
                if name == "expired":
                    raise rooms.Rejected("Your plan has ended.", code=450)
                if name == "plain":
                    raise rooms.Rejected("Ask for an invitation.")
                return True

            async def can_publish(self, user, name):
                raise rooms.Rejected("Your plan is for readers.", code=1999)

            def on_publish(self, user, data, name):
                return None

        @rooms.rpc("order")
        def order(user, data):
            raise rooms.Rejected("Sold out.", code=400)

        answers = [
            ({"subscribe": {"channel": "paid/expired"}}, 450, "Your plan has ended."),
            ({"publish": {"channel": "paid/expired", "data": 1}}, 450, "Your plan has ended."),
            ({"history": {"channel": "paid/expired"}}, 450, "Your plan has ended."),
            ({"subscribe": {"channel": "paid/plain"}}, 103, "Ask for an invitation."),
            ({"publish": {"channel": "paid/open", "data": 1}}, 1999, "Your plan is for readers."),
            ({"rpc": {"method": "order", "data": 1}}, 400, "Sold out."),
        ]
        for command, code, message in answers:
            assert (await call(connected, **command))["error"] == {"code": code, "message": message}
        assert "subscribe" in await call(connected, subscribe={"channel": "paid/open"})
        refused = await call(connected, publish={"channel": "paid/open", "data": 1})
        assert refused["error"]["code"] == 1999

    @pytest.mark.parametrize("code", [0, 103, 399, 2000, 3500, "450", 450.5])
    async def test_another_code_is_a_mistake_of_the_site(self, connected, caplog, code):
        @rooms.rpc("wrong")
        def wrong(user, data):
            raise rooms.Rejected("No.", code=code)

        error = (await call(connected, rpc={"method": "wrong", "data": 1}))["error"]
        assert error["code"] == 100
        assert "Use one from 400 to 1999" in caplog.text

    async def test_a_hook_that_breaks_is_an_error_with_a_reference(self, connected, caplog):
        error = (await call(connected, publish={"channel": "orders/1", "data": "set"}))["error"]
        reference = error["message"].rsplit(" ", 1)[1]
        assert error["code"] == 100
        assert reference in caplog.text

    async def test_rpc(self, connected, caplog):
        reply = await call(connected, rpc={"method": "echo", "data": [1]})
        assert reply["rpc"]["data"] == {"user": "alice", "data": [1]}
        assert (await call(connected, rpc={"method": "x", "data": 1}))["error"]["code"] == 104
        assert (await call(connected, rpc={"method": "broken"}))["error"]["code"] == 100
        assert connected.state is State.CONNECTED

    async def test_a_method_of_a_room_type_is_called_in_a_room(self, connected):
        @rooms.register("carts/<int:pk>")
        class CartRoom(rooms.RoomType):
            def can_join(self, user, pk):
                return pk < 10

            def can_publish(self, user, pk):
                return pk == 1

            @rooms.rpc
            def total(self, user, data, pk):
                return [user.username, data, pk]

            @rooms.rpc(right="publish")
            async def order(self, user, data, pk, client):
                return client

        reply = await call(connected, rpc={"method": "carts/1:total", "data": {"x": 1}})
        assert reply["rpc"]["data"] == ["alice", {"x": 1}, 1]
        reply = await call(connected, rpc={"method": "carts/1:order"})
        assert reply["rpc"]["data"] == connected.id
        assert "rpc" in await call(connected, rpc={"method": "carts/2:total"})
        for method, code in [
            ("carts/2:order", 103),  # may join, and not publish
            ("carts/10:total", 103),
            ("carts/1:can_join", 104),
            ("carts/1:other", 104),
            ("orders/1:total", 104),
            ("lobby:total", 104),
        ]:
            error = (await call(connected, rpc={"method": method}))["error"]
            assert error["code"] == code, method

    async def test_send_reaches_its_handlers_and_gets_no_reply(self, connected):
        heard = []
        rooms.on_send(lambda user, data: heard.append((user.username, data)))
        before = len(connected.transport.frames)
        await send(connected, '{"send":{"data":{"typing":true}}}')
        assert heard == [("alice", {"typing": True})]
        assert len(connected.transport.frames) == before


async def test_a_reply_that_fits_into_no_outbox_is_refused(connected, settings, monkeypatch):
    settings.REALTIME = {"OUTBOX_MAX_BYTES": 2_000}
    monkeypatch.setattr(commands, "rpc_handler", lambda method: lambda user, data: "x" * data)
    error = (await call(connected, rpc={"method": "a", "data": 2_000}))["error"]
    assert (error["code"], error["message"]) == (106, "limit exceeded: the reply is too large")
    assert "rpc" in await call(connected, rpc={"method": "a", "data": 1_900})
