"""What a site has declared, as a page and as an AsyncAPI document."""

import json
import re

import pytest
from django.contrib.auth.models import Group, User

from realtime import rooms
from realtime.broadcasting.declared import Broadcast
from realtime.broadcasting.names import RoomNames
from realtime.rest import catalogue
from realtime.rooms import handlers, room_types
from tests.support.pages import text_of

pytestmark = pytest.mark.django_db

PAGE, DOCUMENT = "/realtime/docs/", "/realtime/asyncapi/"


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    monkeypatch.setattr(handlers, "_rpc", {})
    monkeypatch.setattr(handlers, "_message_handlers", [])
    broadcast = Broadcast(Group, RoomNames("groups/{pk}"), fields=("name",))
    monkeypatch.setattr(catalogue, "declared", [broadcast])

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        """The talk about <b>one</b> order."""

        model = User
        history_size = 50
        rights_depend_on = {Group: lambda group: None}

        def can_join(self, user: User, pk: int) -> bool:
            """Members of the order."""
            return True

        async def get_state(self, user, pk):
            return 1

    @rooms.register("news")
    class NewsRoom(rooms.RoomType):
        presence = False
        history_size = 0

    @rooms.rpc("orders.count")
    def count(user, data):
        """How many orders."""

    @rooms.on_send
    def typing(user, data):
        pass


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_user("boss", is_staff=True))
    return client


@pytest.mark.parametrize("url", [PAGE, DOCUMENT])
def test_only_staff_and_developers_see_it(client, alice, settings, url):
    assert client.get(url).status_code == 404
    client.force_login(alice)
    assert client.get(url).status_code == 404
    settings.DEBUG = True
    assert client.get(url).status_code == 200
    client.logout()
    assert client.get(url).status_code == 200
    settings.DEBUG = False
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    assert client.get(url).status_code == 200
    assert "no-store" in client.get(url)["Cache-Control"]
    assert client.post(url).status_code == 405


def test_the_page_lists_everything_that_is_declared(staff):
    text = text_of(staff.get(PAGE))
    for part in (
        "orders/<int:pk>",
        "The talk about <b>one</b> order.",
        "pk int History 50 messages, 300 s Presence yes Object auth.User",
        "Rights depend on auth.Group",
        "can_join (user: User, pk: int) -> bool Members of the order.",
        "async get_state (user, pk)",
        "news",
        "History none Presence no",
        "No hooks: nobody but users with a permission for all rooms may enter.",
        "orders.count (user, data) How many orders.",
        "typing (user, data)",
        "auth.Group 'groups/{pk}' name",
        "103 permission denied",
        "3008 slow reader reconnect",
        "Clients connect to ws://testserver/ws/",
    ):
        assert part in text, part


def test_the_page_obeys_a_strict_policy_for_its_content(staff):
    html = staff.get(PAGE).content.decode()
    assert "<b>one</b>" not in html
    assert not re.search(r"<script|<style| style=| on\w+=", html)


def test_an_empty_site_says_where_to_begin(staff, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    monkeypatch.setattr(handlers, "_rpc", {})
    text = text_of(staff.get(PAGE))
    assert "No room types in code. Declare them in <app>/realtime.py ." in text
    assert "No functions for rpc ." in text


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    for each in node if isinstance(node, list) else []:
        yield from references(each)


def test_the_document_has_a_channel_for_each_kind_of_room_and_each_function(staff):
    document = staff.get(DOCUMENT, secure=True).json()
    assert document["asyncapi"] == "3.0.0"
    assert document["servers"]["socket"] | {"security": None} == {
        "host": "testserver",
        "pathname": "/ws/",
        "protocol": "wss",
        "security": None,
    }
    addresses = [channel["address"] for channel in document["channels"].values()]
    assert addresses == ["{room}", "orders/{pk}", "news", None]
    assert list(document["channels"]["orders_int_pk"]["parameters"]) == ["pk"]
    assert document["operations"]["rpc_orders_count"]["reply"]


def test_every_reference_of_the_document_leads_somewhere(staff):
    rooms.register("orders-int-pk")(type("Other", (rooms.RoomType,), {}))
    rooms.register("orders_int_pk")(type("Another", (rooms.RoomType,), {}))
    document = staff.get(DOCUMENT).json()
    assert len(document["channels"]) == 6
    found = list(references(document))
    assert len(found) > 10
    for reference in found:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    json.dumps(document, allow_nan=False)
