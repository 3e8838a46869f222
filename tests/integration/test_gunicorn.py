"""HTTP from gunicorn and WebSockets from uvicorn, behind nginx as docs/gunicorn.md sets it up."""

import asyncio
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import websockets

from tests.support import processes
from tests.support.handshakes import raw_handshake

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gunicorn.md"
NGINX = "/usr/sbin/nginx"
AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


@pytest.fixture(scope="module")
def sockets(start_site):
    """The ASGI process, for the WebSockets."""
    return start_site("uvicorn-fast", redis=True)


@pytest.fixture(scope="module")
def address(sockets, tmp_path_factory):
    """The address of nginx, with gunicorn behind it for all other paths."""
    folder = tmp_path_factory.mktemp("nginx")
    port, pages = processes.free_port(), processes.free_port()
    (server,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    server = (
        server.replace("listen 80;", f"listen 127.0.0.1:{port};")
        .replace("127.0.0.1:8000", f"127.0.0.1:{pages}")
        .replace("127.0.0.1:8001", f"127.0.0.1:{sockets.port}")
    )
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, server=server))
    gunicorn = processes.start(
        [sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"]
        + ["--bind", f"127.0.0.1:{pages}", "--workers", "2", "--no-control-socket"],
        folder / "gunicorn.log",
        pages,
        sockets.env,
    )
    nginx = processes.start(
        [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", "stderr"],
        folder / "nginx.log",
        port,
    )
    yield f"127.0.0.1:{port}"
    nginx.stop()
    gunicorn.stop()


@pytest.fixture(scope="module")
def session_key(sockets):
    code = (
        "from django.contrib.auth.models import User; from django.test import Client; "
        "c = Client(); c.force_login(User.objects.get(username='alice')); "
        "print(c.cookies['sessionid'].value)"
    )
    return sockets.shell(code).split()[-1]


def ask(address, path, key, *, csrf="", body=None):
    """Ask as a page of the site does. Return the answer and its text."""
    cookies = f"sessionid={key}" + (f"; csrftoken={csrf}" if csrf else "")
    headers = {"Cookie": cookies, "X-CSRFToken": csrf, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    if body is not None:
        headers["Origin"] = f"http://{address}"
    request = urllib.request.Request(f"http://{address}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error, error.read().decode()


async def test_a_page_of_gunicorn_has_its_socket_and_publishes_to_it(address, session_key):
    page, _ = await asyncio.to_thread(ask, address, "/admin/", session_key)
    assert page.status == 200 and page.headers["Server"].startswith("nginx")
    _, text = await asyncio.to_thread(ask, address, "/realtime/diagnosis/", session_key)
    assert (json.loads(text)["server"], json.loads(text)["user"]) == ("wsgi", "alice")
    async with websockets.connect(
        f"ws://{address}/ws/",
        origin=f"http://{address}",
        additional_headers={"Cookie": f"sessionid={session_key}"},
    ) as socket:
        await socket.send('{"id": 1, "connect": {"subs": {"lobby": {}}}}')
        reply = json.loads(await asyncio.wait_for(socket.recv(), 20))
        assert "lobby" in reply["connect"]["subs"]
        csrf = "a" * 32
        published, text = await asyncio.to_thread(
            lambda: ask(
                address,
                "/realtime/rooms/lobby/publish/",
                session_key,
                csrf=csrf,
                body={"data": {"text": "from a worker"}},
            )
        )
        assert published.status in (200, 201), text
        async with asyncio.timeout(20):
            while "from a worker" not in (frame := await socket.recv()):
                pass
        assert json.loads(frame.split("\n")[0])["push"]["channel"] == "lobby"


async def test_a_foreign_page_gets_no_socket(address, session_key):
    port = int(address.rpartition(":")[2])
    cookie = f"Cookie: sessionid={session_key}"
    foreign = await raw_handshake(port, "/ws/", "Origin: http://evil.example", cookie)
    own = await raw_handshake(port, "/ws/", f"Origin: http://{address}", cookie)
    assert (foreign, own) == (403, 101)
