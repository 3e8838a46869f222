"""Socket.IO's own clients, unmodified: the one for JavaScript, and the one for Python."""

import asyncio
import json
import os
import subprocess

import pytest
import socketio
from playwright.async_api import expect

from tests.integration.conftest import CLIENTS, password_hashes
from tests.support.processes import SIGNING_KEY

REFUSED = {"error": {"code": 103, "message": "permission denied"}}


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("uvicorn-fast", redis=True, DJANGO_SETTINGS_MODULE="tests.settings.socketio")


@pytest.fixture(scope="module")
def other_site(start_site, site):
    """Another process of the same site."""
    return start_site("daphne", beside=site)


@pytest.fixture
def environment(site):
    """What the script needs: also what a service that shares the secret writes into tokens."""
    claims = {
        name: {"token_type": "access", "user_id": user_id, "hash_password": digest, "jti": name}
        for name, (user_id, digest) in password_hashes(site.env["DATABASE_URL"]).items()
    }
    return {
        "SITE_URLS": json.dumps([site.url]),
        "TRANSPORTS": '["polling","websocket"]',
        "KEY": SIGNING_KEY,
        "CLAIMS": json.dumps(claims),
    }


@pytest.fixture
def scenario(run_node, environment):
    def _run(name, **env):
        printed = run_node("socketio.mjs", **{**environment, "SCENARIO": name, **env})
        return [tuple(line) for line in printed]

    return _run


over_each_transport = pytest.mark.parametrize("transport", ["websocket", "polling"])
"""The others change from one to the other, as clients do by default."""


def test_the_client_of_the_article_talks_and_a_wrong_token_gets_a_sentence(scenario):
    assert scenario("article") == [
        ("heard", "hello", 2),
        ("heard", "hello", 2),
        ("refused", "the token is not valid", 3500),
        ("refused", "the token is not valid", 3500),
        ("refused", "nobody is signed in, and no token was sent", 3500),
        ("narrowed", REFUSED),
        ("narrowed", [REFUSED["error"]]),
    ]


def test_commands_are_emitted_and_acknowledged(scenario):
    assert scenario("commands") == [
        ("joined", "staff", "number", "string"),
        ("again", {"error": {"code": 105, "message": "already subscribed"}}),
        ("absent", REFUSED),
        ("published", {}),
        ("heard", "staff", "alice", {"n": 1}, "string"),
        ("history", {"n": 1}, True),
        ("present", ["alice"]),
        ("left", {}),
        ("rpc", {"doubled": 42}),
        ("unknown", {"error": {"code": 104, "message": "method not found"}}),
        (
            "wrong",
            {
                "error": {
                    "code": 107,
                    "message": "bad request: Expected `str`, got `int`, in 'join'",
                }
            },
        ),
        ("said", [{"text": "hi"}]),
        ("said", ["hi", 1]),
        ("refreshed", True),
        ("not refreshed", 107),
    ]


@over_each_transport
def test_bytes_go_both_ways(scenario, transport):
    assert scenario("binary", TRANSPORTS=json.dumps([transport])) == [
        ("heard", True, [1, 2, 3], [], "text é", "end"),
        ("heard", True, [1, 2, 3], [], "text é", "end"),
        ("answered", [7], [8, 9]),
        ("history", [1, 2, 3]),
    ]


def test_namespaces_fresh_tokens_and_leaving(scenario):
    assert scenario("namespaces") == [
        ("published", {}),
        ("heard", "in the shop"),
        ("refused", "Invalid namespace"),
        ("asked", 2),
        ("left", "io client disconnect"),
    ]


@over_each_transport
def test_one_connection_is_in_several_namespaces(scenario, transport):
    assert scenario("several", TRANSPORTS=json.dumps([transport])) == [
        ("two", True, False, False),
        ("rights", "staff", REFUSED),
        ("heard", [1, 2], "hello"),
        ("heard", [1, 2], "hello"),
        ("refused", "Invalid namespace"),
        ("refused", "the token is not valid", True, True),
        ("heard", "alone"),
        ("back", True, True),
        ("heard", "again"),
        ("heard", "again"),
    ]


@over_each_transport
def test_state_is_recovered_in_another_process(scenario, site, other_site, transport):
    env = {"SITE_URLS": json.dumps([site.url, other_site.url])}
    assert scenario("recover", TRANSPORTS=json.dumps([transport]), **env) == [
        ("first", False),
        ("heard", [1, 2, 3]),
        ("cut", "forced close"),
        ("recovered", True),
        ("heard", [1, 2, 3], [4, 5, 6, 7]),
        ("in a row", True),
        ("still in", 105),
        ("of another user", False),
    ]


def test_what_is_withdrawn_is_withdrawn_at_once(site, environment):
    command, env = ["node", "socketio.mjs"], {**os.environ, **environment, "SCENARIO": "wait"}
    with subprocess.Popen(command, cwd=CLIENTS, env=env, text=True, stdout=subprocess.PIPE) as node:
        try:
            assert json.loads(node.stdout.readline()) == ["ready"]
            site.shell(
                "from django.contrib.auth.models import Group, User\n"
                "Group.objects.get(name='Staff').user_set.remove(User.objects.get(username='bob'))\n"
                "User.objects.filter(username='carol').first().delete()"
            )
            printed = [json.loads(line) for line in node.stdout]
        finally:
            node.kill()
    assert printed == [
        [
            "unsubscribed",
            {"room": "staff", "code": 2000, "reason": "you may not be in this room any more"},
        ],
        ["closed", {"code": 3500, "reason": "the user may not be connected any more"}],
        ["disconnect", "io server disconnect", False],
        ["beat", True],
    ]


BUNDLE = CLIENTS / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js"
TALK_IN_A_PAGE = """async (transports) => {
    // The session of the page is the credential.
    const socket = io({ transports, forceNew: true });
    const transport = () => socket.io.engine.transport.name;
    const once = (name) => new Promise((resolve) => socket.once(name, (...args) => resolve(args)));
    await Promise.all([once("connect"), once("joined")]);
    while (transport() !== transports.at(-1)) await new Promise((wake) => setTimeout(wake, 20));
    const heard = once("chat message");
    const answer = await socket.emitWithAck("chat message", new Uint8Array([1, 2]), "é");
    const [bytes, text] = await heard;
    const back = once("connect");
    socket.io.engine.close();
    await back;
    const found = [transport(), answer, [...new Uint8Array(bytes)], text, socket.recovered];
    socket.disconnect();
    return found;
}"""


@pytest.mark.parametrize(
    "transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="-".join
)
async def test_a_page_in_chromium_talks(site, sign_in_at, transports):
    page = await sign_in_at(site, "alice")
    await expect(page.locator("#connection")).to_have_text("Connected")
    await page.evaluate(BUNDLE.read_text())
    found = await page.evaluate(TALK_IN_A_PAGE, transports)
    assert found[0] in transports
    assert found[1:] == [{}, [1, 2], "é", True]


@over_each_transport
async def test_the_python_client_talks(site, sign, transport):
    client, heard = socketio.AsyncClient(), asyncio.Queue()
    client.on("chat message", heard.put)
    joined = asyncio.Event()
    client.on("joined", lambda about: joined.set())
    async with asyncio.timeout(60):
        auth = {"token": sign("alice"), "recovery": False}
        await client.connect(site.url, auth=auth, transports=[transport])
        await joined.wait()
        await client.emit("chat message", {"text": "é", "bytes": b"\x00\xff"})
        assert await heard.get() == {"text": "é", "bytes": b"\x00\xff"}
        assert await client.call("join", "absent") == REFUSED
        assert await client.call("double", 4) == {"doubled": 8}
        await client.disconnect()
