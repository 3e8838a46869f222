"""The clients that are there for server-sent events, over a restart; and a proxy before them."""

import asyncio
import json
import os
import shutil

import aiohttp
import jwt
import pytest
from playwright.async_api import expect

from tests.support import processes
from tests.support.event_streams import PATH, SECONDS, EventStream, publish_over_http

CLIENTS = processes.ROOT / "tests" / "integration" / "clients"


@pytest.fixture(scope="module")
def site(shared_site):
    return shared_site("uvicorn")


@pytest.fixture
def publish(sign):
    async def _publish(site, room, *values):
        await publish_over_http(site.url, sign("bob"), room, *values)

    return _publish


@pytest.fixture
async def read_with_node():
    """Start `sse.mjs`; returns a function that waits for what it prints next."""
    started = []

    async def _start(url, **claims):
        program = await asyncio.create_subprocess_exec(
            *("node", "sse.mjs"),
            cwd=CLIENTS,
            env={
                **os.environ,
                "URL": url,
                "SIGNING_KEY": processes.SIGNING_KEY,
                "CLAIMS": json.dumps(claims),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(program)

        async def _next():
            async with asyncio.timeout(SECONDS):
                return json.loads(await program.stdout.readline())

        return _next

    yield _start
    for program in started:
        program.kill()
        await program.communicate()


@pytest.fixture
def own_site(start_site):
    return start_site("daphne", redis=True)


def claims(site, user, sign):
    signed = jwt.decode(sign(user), options={"verify_signature": False})
    return {name: signed[name] for name in ("user_id", "hash_password")}


async def test_an_event_source_gets_everything_once_over_a_restart(
    own_site, tmp_path, started_sites, read_with_node, sign, publish
):
    url = f"{own_site.url}{PATH}?room=lobby&room=staff"
    read = await read_with_node(url, **claims(own_site, "bob", sign))
    assert [(await read())["room"] for _ in range(2)] == ["lobby", "staff"]
    await publish(own_site, "lobby", 1)
    await publish(own_site, "staff", 2)
    assert [(await read())["data"] for _ in range(2)] == [1, 2]
    own_site.process.popen.terminate()
    end = await read()
    assert (end["type"], end["code"], end["reconnect"]) == ("closed", 3001, True)
    await asyncio.to_thread(own_site.process.popen.wait, SECONDS)
    missed = "from realtime import publish; publish('lobby', 3); publish('staff', 4)"
    await asyncio.to_thread(own_site.shell, missed)
    again = await asyncio.to_thread(
        processes.start_site, "daphne", tmp_path, own_site.env, own_site.port
    )
    started_sites.append(again)
    events = [await read() for _ in range(4)]
    assert [event.get("data", event.get("recovered")) for event in events] == [True, 3, True, 4]
    await publish(again, "lobby", 5)
    assert (await read())["data"] == 5


async def test_an_event_source_of_node_gives_up_without_a_right(site, read_with_node, sign):
    read = await read_with_node(f"{site.url}{PATH}?room=staff", **claims(site, "carol", sign))
    assert await read() == {"type": "gone", "code": 403}


async def test_a_page_of_the_site_reads_with_its_session(site, sign_in, publish):
    page = await sign_in("alice")
    await expect(page.get_by_label("Message", exact=True)).to_be_visible()
    await page.evaluate(
        """() => {
            window.events = [];
            window.source = new EventSource("/realtime/sse/?room=lobby");
            for (const name of ["message", "joined", "closed"]) {
                source.addEventListener(name, ({ data }) => events.push(JSON.parse(data)));
            }
        }"""
    )

    async def until(count):
        await page.wait_for_function("count => events.length >= count", arg=count)
        return await page.evaluate("events")

    assert (await until(1))[0]["type"] == "joined"
    await publish(site, "lobby", "for the page")
    assert (await until(2))[1]["data"] == "for the page"
    # The browser comes back by itself, with its session and the id of the last event.
    await asyncio.to_thread(site.manage, "realtime", "disconnect", "--user", "alice")
    events = await until(4)
    assert (events[2]["code"], events[3]["recovered"]) == (3503, True)
    await publish(site, "lobby", "again")
    assert (await until(5))[4]["data"] == "again"


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on; gzip_types *; gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass {site}; proxy_set_header Host $http_host; }}
    }}
}}
"""


@pytest.fixture
def nginx(site, tmp_path):
    """The URL of an nginx that buffers and compresses, and speaks HTTP/1.0 to the site."""
    port = processes.free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(folder=tmp_path, port=port, site=site.url))
    command = ["nginx", "-p", str(tmp_path), "-c", str(config)]
    process = processes.start(command, tmp_path / "nginx.log", port)
    yield f"http://127.0.0.1:{port}"
    process.stop()


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
async def test_nginx_holds_no_event_back(site, nginx, publish, sign):
    headers = {"Authorization": f"Bearer {sign('alice')}", "Accept-Encoding": "gzip"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{nginx}{PATH}?room=lobby") as response,
    ):
        stream = EventStream(response)
        assert (await stream.next())["type"] == "joined"
        for number in range(3):
            await publish(site, "lobby", number)
            assert (await stream.next())["data"] == number
