"""Stock clients of Socket.IO that poll: on each server, and over two processes of a site."""

import asyncio
import http.client
import json
import socket
import time

import pytest
from playwright.async_api import expect

from tests.support.round_robin import round_robin


@pytest.fixture(scope="module")
def neighbours(start_site):
    """A Daphne and a uvicorn of one site."""
    daphne = start_site("daphne", redis=True)
    return daphne, start_site("uvicorn-fast", beside=daphne)


@pytest.fixture(scope="module")
def site(neighbours):
    """The site whose users `sign` uses."""
    return neighbours[0]


@pytest.fixture
def talk(run_node, sign):
    """Let alice and bob talk in a room, each in a process of its own if there are two URLs."""

    async def _talk(*urls, messages=40, **options):
        tokens = [sign("alice"), sign("bob")]
        return await asyncio.to_thread(
            run_node,
            "polling.mjs",
            URLS=json.dumps(urls),
            TOKENS=json.dumps(tokens),
            OPTIONS=json.dumps(options),
            MESSAGES=str(messages),
        )

    return _talk


def heard(printed):
    """What each client has heard; the other lines are empty."""
    leaving = [line for line in printed if line[0] == "disconnect"]
    assert {reason for _, reason in leaving} <= {"io client disconnect"}
    assert not [line for line in printed if "error" in line[0]], printed
    return [tuple(line[1:]) for line in printed if line[0] == "heard"]


@pytest.mark.parametrize("number", [0, 1], ids=["daphne", "uvicorn"])
async def test_a_stock_client_begins_with_polling_and_changes(neighbours, talk, number):
    assert heard(await talk(neighbours[number].url)) == [(40, True, "websocket")] * 2


@pytest.mark.parametrize("number", [0, 1], ids=["daphne", "uvicorn"])
async def test_a_client_may_poll_for_ever(neighbours, talk, number):
    printed = await talk(neighbours[number].url, transports=["polling"])
    assert heard(printed) == [(40, True, "polling")] * 2


async def test_polls_reach_the_session_by_whatever_process(neighbours, talk):
    async with round_robin(*(site.port for site in neighbours)) as port:
        printed = await talk(f"http://127.0.0.1:{port}", transports=["polling"])
    assert heard(printed) == [(40, True, "polling")] * 2


async def test_a_client_may_change_to_a_socket_by_whatever_process(neighbours, talk):
    async with round_robin(*(site.port for site in neighbours)) as port:
        printed = await talk(f"http://127.0.0.1:{port}")
    assert heard(printed) == [(40, True, "websocket")] * 2


class Requests:
    """Requests of a client that is not a stock one."""

    def __init__(self, site):
        self.port = site.port
        self.path = "/socket.io/?EIO=4&transport=polling"

    def send(self, method="GET", body=None, path=""):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path or self.path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def open(self):
        _, text = self.send()
        sid = json.loads(text[1:])["sid"]
        self.path += f"&sid={sid}"

    def abandon(self):
        """Ask for what is new, and go away before it comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)


@pytest.mark.parametrize("number", [0, 1], ids=["daphne", "uvicorn"])
def test_wrong_requests_end_a_session_and_leave_no_traceback(neighbours, number):
    unknown = (400, '{"code":1,"message":"Session ID unknown"}')
    client = Requests(neighbours[number])
    client.open()
    assert client.send("POST", "4" * 1_048_577)[0] == 413
    assert client.send() == unknown
    client = Requests(neighbours[number])
    client.open()
    assert client.send("POST", b"\xff\x1e")[0] == 400
    assert client.send("POST", "3") == unknown
    client = Requests(neighbours[number])
    client.open()
    client.abandon()
    until = time.monotonic() + 30
    while client.send("POST", "3") != unknown:
        assert time.monotonic() < until
    assert client.send("DELETE")[0] == 400
    assert client.send(path="/socket.io/?EIO=3&transport=polling")[0] == 400
    assert client.send("POST", "x" * 10_485_760)[0] in (400, 413)


@pytest.mark.parametrize("number", [0, 1], ids=["daphne", "uvicorn"])
async def test_a_page_of_the_site_polls_with_the_session_of_django(neighbours, sign_in_at, number):
    page = await sign_in_at(neighbours[number], "alice")
    await expect(page.locator("#connection")).to_have_text("Connected")
    answers = await page.evaluate(
        """async () => {
            const url = "/socket.io/?EIO=4&transport=polling";
            const ask = async (options) => (await fetch(url + sid, options)).text();
            let sid = "";
            sid = "&sid=" + JSON.parse((await ask()).slice(1)).sid;
            return [await ask({ method: "POST", body: "40" }), await ask()];
        }"""
    )
    assert answers[0] == "ok"
    assert answers[1].startswith('40{"sid":')
