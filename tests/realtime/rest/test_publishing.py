"""Publishing over HTTP: the rights, the hooks and the limits of the socket.

Long, because it mirrors one module.
"""

import json

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from realtime import history, publish, rooms
from realtime.exceptions import LayerUnavailable
from realtime.layers import get_layer
from realtime.models import Membership, Room
from realtime.rooms import room_types

pytestmark = pytest.mark.django_db

SENT = "/realtime/rooms/lobby/publish/"


@pytest.fixture(autouse=True)
def own_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}


@pytest.fixture
def post(client, bearer):
    """`post({"data": 1})`: the answer to a publication of alice, in the lobby."""

    def _post(body, url=SENT, claims=None, **options):
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        headers = bearer(**(claims or {}))["headers"] | options.pop("headers", {})
        return client.post(url, text, content_type="application/json", headers=headers, **options)

    return _post


def messages(room="lobby"):
    return [(it.data, it.user, it.info) for it in history(room).messages]


def test_a_message_is_published_as_its_user(post, lobby, alice):
    response = post({"data": {"text": "hello"}})
    assert response.status_code == 200
    assert response.json() == {"epoch": history("lobby").position.epoch, "offset": 1}
    assert response["Cache-Control"] == "no-store"
    assert messages() == [({"text": "hello"}, str(alice.pk), {"name": "alice"})]


def test_data_is_passed_on_byte_for_byte(post, lobby):
    data = '{"a":1.0,"b":12345678901234567890123,"c":"\\u00e9 é"}'
    assert post(f'{{"data": {data}}}').status_code == 200
    page = get_layer().history_sync("lobby", limit=1)
    assert bytes(page.publications[0].content().data) == data.encode()


def test_a_room_with_slashes_and_a_room_that_is_called_like_an_endpoint(post):
    for name in ("team/a/b", "publish", "a/publish"):
        Room.objects.create(name=name, access="authenticated")
        assert post({"data": 1}, f"/realtime/rooms/{name}/publish/").status_code == 200
        assert len(messages(name)) == 1


def test_a_credential_is_needed(client, lobby):
    response = client.post(SENT, "{}", content_type="application/json")
    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"


def test_a_session_needs_the_token_against_forgery(alice, lobby):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    body = {"data": '{"data": 1}', "content_type": "application/json"}
    refused = client.post(SENT, **body)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    client.cookies["csrftoken"] = "t" * 32
    assert client.post(SENT, **body, headers={"X-CSRFToken": "t" * 32}).status_code == 200


DENIED = {"detail": "permission denied", "code": "permission_denied", "error": 103}


@pytest.mark.parametrize(
    "name", ["secret", "absent", "bad%20name", "x" * 300, "archived", "..%2fx"]
)
def test_a_room_that_is_closed_and_one_that_does_not_exist_are_refused_alike(post, name):
    Room.objects.create(name="secret")
    Room.objects.create(name="archived", access="anyone", archived=True)
    response = post({"data": 1}, f"/realtime/rooms/{name}/publish/")
    assert (response.status_code, response.json()) == (403, DENIED)


def test_who_may_only_read_may_not_publish(post, alice):
    room = Room.objects.create(name="news")
    Membership.objects.create(room=room, user=alice, role="reader")
    assert post({"data": 1}, "/realtime/rooms/news/publish/").status_code == 403


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("realtime:join realtime:publish", 200),
        ("realtime:join:lobby realtime:publish:lobby", 200),
        ("realtime:join", 403),
        ("realtime:publish", 403),
        ("realtime:join realtime:publish:news", 403),
        ("", 403),
    ],
)
def test_the_scopes_of_a_token_narrow(post, lobby, scope, status):
    assert post({"data": 1}, claims={"scope": scope}).status_code == status


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "the body is"),
        ("{}", "missing required field `data`"),
        ("[]", "Expected `object`"),
        ('{"data": NaN}', "the body is no such JSON"),
        ('{"data": 1e999}', "not JSON that every client can read"),
        ('{"data": "\\ud800"}', "JSON"),
        ('{"data": 1, "mesage": 2}', "unknown field `mesage`"),
        ('{"data": 1, "idempotency_key": 5}', "Expected `str`"),
        (b'{"data": "\xff"}', "JSON"),
        ('{"data": ' + "[" * 150 + "]" * 150 + "}", "nests deeper than 100 levels"),
        ("[" * 100_000, "too large"),
    ],
)
def test_a_body_that_is_no_message_is_refused(post, lobby, body, sentence):
    response = post(body)
    assert response.status_code in (400, 413)
    assert response.json()["code"] in ("bad_request", "limit_exceeded")
    assert sentence in response.json()["detail"]
    assert messages() == []


def test_a_message_may_have_as_many_bytes_as_on_the_socket(post, lobby, settings):
    settings.REALTIME = {**settings.REALTIME, "MESSAGE_MAX_BYTES": 100}
    assert post({"data": "x" * 98}).status_code == 200
    response = post({"data": "x" * 99})
    assert (response.status_code, response.json()["code"]) == (413, "limit_exceeded")
    assert post({"data": "x" * 10_000}).status_code == 413


def test_forms_are_no_messages(client, bearer, lobby):
    assert client.post(SENT, {"data": "1"}, **bearer()).status_code == 415


def test_the_same_key_publishes_once(post, lobby):
    first = post({"data": 1, "idempotency_key": "a"})
    assert post({"data": 2, "idempotency_key": "a"}).json() == first.json()
    assert post({"data": 3}, headers={"Idempotency-Key": "a"}).json() == first.json()
    post({"data": 4}, headers={"Idempotency-Key": "b"})
    assert [data for data, _, _ in messages()] == [1, 4]


def test_the_key_of_another_user_swallows_nothing(post, lobby):
    post({"data": 1, "idempotency_key": "a"})
    other = Client()
    other.force_login(User.objects.create_user("bob"))
    body = '{"data": 2, "idempotency_key": "a"}'
    assert other.post(SENT, body, content_type="application/json").status_code == 200
    assert [data for data, _, _ in messages()] == [1, 2]


def test_the_key_of_a_user_swallows_no_message_of_the_site(post, lobby, alice):
    post({"data": 1, "idempotency_key": "paid"})
    publish("lobby", 2, idempotency_key=f"{alice.pk}:paid", on_commit=False)
    assert [data for data, _, _ in messages()] == [1, 2]


@pytest.mark.parametrize(
    ("key", "header"),
    [("a", {"Idempotency-Key": "b"}), ("x" * 201, {}), ("", {"Idempotency-Key": "x" * 201})],
)
def test_a_key_that_is_none_is_refused(post, lobby, key, header):
    assert post({"data": 1, "idempotency_key": key}, headers=header).status_code == 400


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ({"exclude": "c1"}, {}),
        ({}, {"X-Realtime-Client": "c1"}),
        ({"exclude": "c1"}, {"X-Realtime-Client": "c2"}),
    ],
)
def test_the_connection_of_the_user_does_not_get_it(post, lobby, alice, body, header):
    assert post({"data": 1, **body}, headers=header).status_code == 200
    (publication,) = get_layer().history_sync("lobby", limit=1).publications
    assert not publication.is_for("c1", str(alice.pk))
    assert publication.is_for("c1", "somebody else")
    assert publication.is_for("c2", str(alice.pk))
    assert messages() == [(1, str(alice.pk), {"name": "alice"})]


@pytest.mark.parametrize("text", ["c1:0000000000000000", 'x","data":2', "x,y", "x" * 100, "c1 "])
def test_what_is_no_id_excludes_nobody(post, lobby, alice, text):
    assert post({"data": 1, "exclude": text}).status_code == 200
    (publication,) = get_layer().history_sync("lobby", limit=1).publications
    for other in ("c1", "x", "y", text):
        assert publication.is_for(other, str(alice.pk))
    assert [data for data, _, _ in messages()] == [1]


@pytest.fixture
def orders(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])

    class OrderRoom(rooms.RoomType):
        def can_join(self, user, pk):
            if pk == 9:
                raise rooms.Rejected("Your plan has ended.", code=450)
            return True

        def can_publish(self, user, pk):
            return pk < 5

    @rooms.register("orders/<int:pk>")
    class SyncRoom(OrderRoom):
        def on_publish(self, user, data, pk):
            if data == "bad":
                raise rooms.Rejected("Send a text.", code=451)
            if data == "broken":
                raise RuntimeError("broken")
            return {"text": data, "pk": pk}

    @rooms.register("tasks/<int:pk>")
    class AsyncRoom(OrderRoom):
        async def on_publish(self, user, data, pk):
            return {"async": data}


def test_the_hooks_of_the_room_are_called(post, orders):
    assert post({"data": "hi"}, "/realtime/rooms/orders/1/publish/").status_code == 200
    assert post({"data": "hi"}, "/realtime/rooms/tasks/1/publish/").status_code == 200
    assert messages("orders/1")[0][0] == {"text": "hi", "pk": 1}
    assert messages("tasks/1")[0][0] == {"async": "hi"}
    assert post({"data": "hi"}, "/realtime/rooms/orders/6/publish/").json() == DENIED


@pytest.mark.django_db(transaction=True)
def test_what_the_hook_has_stored_is_committed_before_the_message(post, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return True

        def on_publish(self, user, data, pk):
            User.objects.create_user("stored")

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    layer, seen = get_layer(), []
    append = layer.append_sync

    def look(*args):
        seen.append((connection.in_atomic_block, User.objects.filter(username="stored").exists()))
        return append(*args)

    monkeypatch.setattr(layer, "append_sync", look)
    assert post({"data": 1}, "/realtime/rooms/orders/1/publish/").status_code == 200
    assert seen == [(False, True)]


@pytest.mark.parametrize(
    ("data", "pk", "answer"),
    [
        ("hi", 9, {"detail": "Your plan has ended.", "code": "rejected", "error": 450}),
        ("bad", 1, {"detail": "Send a text.", "code": "rejected", "error": 451}),
    ],
)
def test_what_a_hook_rejects_is_answered_with_its_sentence(post, orders, data, pk, answer):
    response = post({"data": data}, f"/realtime/rooms/orders/{pk}/publish/")
    assert (response.status_code, response.json()) == (403, answer)


def test_a_hook_that_fails_is_an_error_with_a_reference(post, orders, caplog):
    response = post({"data": "broken"}, "/realtime/rooms/orders/1/publish/")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    reference = response.json()["detail"].rpartition(" ")[2]
    assert f"on_publish failed in the room 'orders/1', reference {reference}" in caplog.text


def test_without_redis_it_is_a_temporary_error(post, lobby, monkeypatch):
    def away(*args):
        raise LayerUnavailable("redis://secret@host is away")

    monkeypatch.setattr(get_layer(), "append_sync", away)
    response = post({"data": 1})
    assert response.status_code == 503
    assert response.json() == {
        "detail": "unavailable just now; try again",
        "code": "unavailable",
        "error": 100,
    }
    assert response["Retry-After"] == "1"


def test_requests_are_throttled(post, lobby, monkeypatch):
    monkeypatch.setattr("realtime.rest.access.RoomThrottle.get_rate", lambda self: "2/min")
    answers = [post({"data": 1}) for _ in range(3)]
    assert [it.status_code for it in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "throttled"


async def own_info(user):
    return {"name": f"the {user.username}"}


def test_the_public_profile_is_that_of_the_site(post, lobby, settings):
    settings.REALTIME = {**settings.REALTIME, "USER_INFO": f"{__name__}.own_info"}
    assert post({"data": 1}).status_code == 200
    assert messages()[0][2] == {"name": "the alice"}


def broken_info(user):
    raise RuntimeError("broken")


def unreadable_info(user):
    return {"name": object()}


@pytest.mark.parametrize("info", ["broken_info", "unreadable_info"])
def test_a_public_profile_that_fails_is_an_error_with_a_reference(
    post, lobby, settings, caplog, info
):
    settings.REALTIME = {**settings.REALTIME, "USER_INFO": f"{__name__}.{info}"}
    response = post({"data": 1})
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    reference = response.json()["detail"].rpartition(" ")[2]
    assert f"USER_INFO failed in the room 'lobby', reference {reference}" in caplog.text
    assert messages() == []


def test_a_body_without_data_is_shown_the_form(post, lobby):
    response = post({"text": "x"})
    assert response.status_code == 400
    text = response.content.decode()
    assert "the body is not" in text and "unknown field `text`" in text
