"""History and presence over HTTP."""

import pytest
from asgiref.sync import async_to_sync

from realtime import publish
from realtime.exceptions import LayerUnavailable
from realtime.layers import get_layer
from realtime.layers.records import Member, PresenceChange
from realtime.models import Membership, Room

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}


@pytest.fixture
def get(client, bearer):
    def _get(what, room="lobby", claims=None, **query):
        url = f"/realtime/rooms/{room}/{what}/"
        return client.get(url, query, **bearer(**(claims or {})))

    return _get


@pytest.fixture
def said(lobby):
    for number in range(1, 6):
        publish("lobby", number, on_commit=False)


def data(response):
    return [it["data"] for it in response.json()["publications"]]


def test_history_has_the_kept_messages_and_the_position(get, said):
    response = get("history")
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    body = response.json()
    assert body["offset"] == 5
    assert body["publications"][0] == {"offset": 1, "data": 1, "user": None, "info": None}
    assert data(response) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": 2}, [1, 2]),
        ({"limit": 2, "reverse": 1}, [5, 4]),
        ({"limit": 0}, []),
        ({"since": "EPOCH:3"}, [4, 5]),
        ({"since": ":3"}, [4, 5]),
        ({"since": "EPOCH:3", "reverse": "true"}, [2, 1]),
        ({"since": "EPOCH:3", "limit": 1}, [4]),
        ({"reverse": "0", "limit": 9_999}, [1, 2, 3, 4, 5]),
    ],
)
def test_a_part_of_the_history_is_read(get, said, query, expected):
    epoch = get("history", limit=0).json()["epoch"]
    query = {key: str(value).replace("EPOCH", epoch) for key, value in query.items()}
    assert data(get("history", **query)) == expected


def test_a_position_of_another_epoch_is_gone(get, said):
    response = get("history", since="other:3")
    assert response.status_code == 410
    assert response.json() == {
        "detail": "unrecoverable position",
        "code": "unrecoverable_position",
        "error": 112,
    }


@pytest.mark.parametrize(
    "query",
    [{"limit": "x"}, {"limit": "-1"}, {"since": "5"}, {"since": "e:x"}, {"reverse": "maybe"}],
)
def test_a_query_that_can_not_be_read_is_refused(get, lobby, query):
    response = get("history", **query)
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("what", ["history", "presence"])
@pytest.mark.parametrize("room", ["secret", "absent", "bad%20name"])
def test_only_those_who_may_enter_read(get, what, room):
    Room.objects.create(name="secret")
    response = get(what, room)
    assert (response.status_code, response.json()["error"]) == (403, 103)


@pytest.mark.parametrize("what", ["history", "presence"])
def test_a_reader_reads_and_scopes_narrow(get, what, alice):
    room = Room.objects.create(name="news")
    Membership.objects.create(room=room, user=alice, role="reader")
    assert get(what, "news").status_code == 200
    assert get(what, "news", {"scope": "realtime:join:news"}).status_code == 200
    assert get(what, "news", {"scope": "realtime:publish"}).status_code == 403


@pytest.mark.parametrize("what", ["history", "presence"])
def test_what_a_room_does_not_have_is_not_available(get, what):
    Room.objects.create(name="bare", access="authenticated", history_size=0, presence=False)
    response = get(what, "bare")
    assert (response.status_code, response.json()["code"]) == (409, "not_available")


@pytest.fixture
def present(lobby):
    members = [
        Member(
            f"c{number}",
            user,
            b'{"user":"%b","client":"c%d","conn_info":{"name":"N"}}' % (user.encode(), number),
        )
        for number, user in enumerate(["1", "1", "2"])
    ]
    async_to_sync(get_layer().update_presence)([PresenceChange("lobby", members)])


def test_presence_lists_users_and_not_tabs(get, present):
    assert get("presence").json() == {
        "clients": 3,
        "users": 2,
        "people": [
            {"user": "1", "info": {"name": "N"}, "connections": 2},
            {"user": "2", "info": {"name": "N"}, "connections": 1},
        ],
    }
    assert get("presence", stats=1).json() == {"clients": 3, "users": 2}


def test_too_many_are_counted_and_not_listed(get, present, settings):
    settings.REALTIME = {**settings.REALTIME, "PRESENCE_MAX_CLIENTS": 2}
    response = get("presence")
    assert (response.status_code, response.json()["code"]) == (413, "limit_exceeded")
    assert get("presence", stats=1).json()["clients"] == 3


@pytest.mark.parametrize(
    ("what", "method"), [("history", "history_sync"), ("presence", "presence_sync")]
)
def test_without_redis_it_is_a_temporary_error(get, lobby, monkeypatch, what, method):
    def away(*args, **kwargs):
        raise LayerUnavailable("away")

    monkeypatch.setattr(get_layer(), method, away)
    response = get(what)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
