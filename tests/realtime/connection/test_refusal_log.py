"""What the log says of refusals, and what it never says."""

import logging

import pytest
from django.contrib.auth.models import User

from realtime import rooms
from realtime.authentication import Identity
from realtime.connection import refusal_log
from realtime.models import Room
from realtime.rooms import room_types
from tests.support.sessions import call, send

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "not-for-the-log"


@pytest.fixture(autouse=True)
def fresh_log():
    refusal_log._refusals._of_kind.clear()


@pytest.fixture
def said(caplog):
    def _said():
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "realtime.refusals" and record.levelno == logging.WARNING
        ]

    return _said


@pytest.fixture
def staff():
    return Room.objects.create(name="staff")


async def test_a_refused_join_names_the_command_that_explains_it(connected, staff, said):
    for _ in range(3):
        await call(connected, subscribe={"channel": "staff"})
    assert said() == [
        "refused: alice may not join 'staff' (103); "
        "to see why: manage.py realtime explain alice staff join"
    ]


async def test_so_do_a_refused_publish_and_a_room_of_a_connect(open_session, alice, staff, said):
    session = open_session(Identity(alice))
    await call(session, connect={"subs": {"staff": {}}})
    await call(session, publish={"channel": "staff", "data": {"text": SECRET}})
    join, publish = said()
    assert join.endswith("manage.py realtime explain alice staff join")
    assert publish.endswith("manage.py realtime explain alice staff publish")
    assert SECRET not in publish


async def test_many_rooms_of_one_user_are_one_line(connected, said, settings):
    settings.DEBUG = False
    for number in range(10):
        await call(connected, subscribe={"channel": f"room{number}"})
    assert len(said()) == 1


async def test_odd_names_are_escaped(open_session, said):
    user = await User.objects.acreate(username="al;ice\n$(x)")
    session = open_session(Identity(user))
    await call(session, connect={})
    await call(session, subscribe={"channel": "a\n\x1b[31m" + "x" * 1000})
    await call(session, subscribe={"channel": "staff"})
    assert all(line.isprintable() and len(line) < 500 for line in said())
    assert "not a valid name of a room" in said()[0]


async def test_an_unknown_rpc_gets_the_nearest_name(connected, said, monkeypatch):
    monkeypatch.setattr("realtime.rooms.handlers._rpc", {"orders.count": print})
    await call(connected, rpc={"method": "order.count", "data": {"text": SECRET}})
    (line,) = said()
    assert "'order.count'; did you mean 'orders.count'?" in line
    assert SECRET not in line


async def test_a_refused_call_of_a_room_names_the_right_that_it_needs(connected, said, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        @rooms.rpc(right="publish")
        def cancel(self, user, data, pk):
            raise AssertionError

    await call(connected, rpc={"method": "orders/42:cancel", "data": {"text": SECRET}})
    (line,) = said()
    assert line.endswith("manage.py realtime explain alice orders/42 publish")
    assert SECRET not in line


async def test_an_unknown_call_of_a_room_gets_the_nearest_name(connected, said, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        @rooms.rpc
        def cancel(self, user, data, pk):
            raise AssertionError

    await call(connected, rpc={"method": "orders/42:cancle"})
    assert "did you mean 'orders/<int:pk>:cancel'?" in said()[0]


async def test_a_command_of_the_wrong_shape_says_what_was_wanted(connected, said):
    await send(connected, '{"id": 5, "subscribe": {"channel": 5, "data": "not-for-the-log"}}')
    (line,) = said()
    assert "Expected `str`, got `int`" in line
    assert SECRET not in line


@pytest.mark.parametrize("token", [None, SECRET])
async def test_a_connection_without_a_valid_credential_is_logged(open_session, said, token):
    session = open_session(address="203.0.113.7")
    await call(session, connect={"token": token})
    (line,) = said()
    assert line.startswith("refused a connection from 203.0.113.7: ")
    assert "accepts subprotocol, header, connect, ticket, session" in line
    assert SECRET not in line


async def test_what_a_hook_refuses_is_the_business_of_the_site(connected, said, monkeypatch):
    def refuse(user, data):
        raise rooms.Rejected(SECRET)

    monkeypatch.setattr("realtime.rooms.handlers._rpc", {"no": refuse})
    await call(connected, rpc={"method": "no"})
    assert said() == []
