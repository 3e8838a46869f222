"""What a developer is told of a page that gets no WebSocket."""

import pytest
from django.test import AsyncClient

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "/realtime/diagnosis/"


@pytest.fixture(autouse=True)
def debug(settings):
    settings.DEBUG = True


def test_it_is_for_developers_only(client, settings):
    settings.DEBUG = False
    assert client.get(ADDRESS).status_code == 404


def test_a_wsgi_server_is_named(client, alice):
    client.force_login(alice)
    answer = client.get(ADDRESS)
    assert answer["Cache-Control"] == "no-store"
    told = answer.json()
    assert (told["server"], told["user"], told["url"]) == ("wsgi", "alice", "ws://testserver/ws/")
    (problem,) = told["problems"]
    assert "WSGI" in problem and "/ws/" in problem and "daphne" in problem


async def test_a_page_that_is_fine_has_no_problem(alice):
    client = AsyncClient()
    await client.aforce_login(alice)
    told = (await client.get(ADDRESS, headers={"referer": "http://testserver/page/"})).json()
    assert told["problems"] == []
    assert (told["server"], told["origin"], told["origin_refused"]) == (
        "asgi",
        "http://testserver",
        None,
    )
    assert told["credentials"][-1] == "session"
    assert told["layer"] == "MemoryRoomLayer"


@pytest.mark.parametrize("way", ["origin", "parameter", "referer"])
def test_a_foreign_origin_is_told_what_the_server_takes(client, settings, way):
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.net"]
    page = "https://testserver"
    headers = {"origin": page} if way == "origin" else {"referer": f"{page}/shop/?x=1"}
    if way == "parameter":
        answer = client.get(ADDRESS, {"origin": page})
    else:
        answer = client.get(ADDRESS, headers=headers)
    told = answer.json()
    assert told["origin"] == page
    assert told["allowed_origins"] == ["http://testserver", "https://*.example.net"]
    assert "only the scheme differs: see SECURE_PROXY_SSL_HEADER" in told["origin_refused"]
    assert any("403" in problem for problem in told["problems"])
    assert any("Nobody is signed in" in problem for problem in told["problems"])
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_mistakes_of_the_settings_are_listed(client, settings):
    settings.REALTIME = {"ALLOWED_ORIGINS": ["example.com"]}
    settings.FORCE_SCRIPT_NAME = None
    problems = client.get(ADDRESS).json()["problems"]
    assert any("'example.com', which is not an origin" in problem for problem in problems)


@pytest.mark.parametrize("referer", ["http://[", "http://[::1]x/", "about:blank", "http://a\x00b"])
def test_a_referer_that_is_no_address_names_no_page(client, referer):
    assert client.get(ADDRESS, headers={"referer": referer}).status_code == 200
