"""The servers of docs/deployment.md, started with what stands there, in front of a site."""

import asyncio
import json
import os
import re
import signal
import ssl
import urllib.request

import pytest

from tests.support import processes
from tests.support.certificates import certificate as certificate
from tests.support.handshakes import raw_handshake

PAGE = (processes.ROOT / "docs" / "deployment.md").read_text()
STRANGER = "127.0.0.2"
"""Another address of this machine: as which a client comes that is not the proxy."""


def configuration(name):
    (text,) = re.findall(rf"^```{name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


class Front:
    """A server of Debian, for one port."""

    def __init__(self, name, folder, site, certificate):
        key, cert = certificate
        (folder / "both.pem").write_text(cert.read_text() + key.read_text())
        (folder / "key.pem").write_text(key.read_text())
        (folder / "cert.pem").write_text(cert.read_text())
        self.name, self.folder, self.port = name, folder, processes.free_port()
        self.tls = ssl.create_default_context(cafile=cert)
        self.path = folder / "Caddyfile" if name == "caddy" else folder / f"{name}.conf"
        text = configuration(name).replace("/etc/ssl/site", str(folder))
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{site.port}")
        self.path.write_text(self._own(text))
        self.process = processes.start(self._command(), folder / "log", self.port)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def _own(self, text):
        """With its port on loopback, and with files in its folder."""
        port, folder = self.port, self.folder
        if self.name == "nginx":
            paths = " ".join(
                f"{kind}_temp_path {folder}/{kind};"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
            text = text.replace("http {", f"http {{ access_log off; {paths}", 1)
            return f"daemon off; pid {folder}/pid; error_log {folder}/errors;\n{text}"
        if self.name == "haproxy":
            return text.replace("bind :443", f"bind 127.0.0.1:{port}")
        if self.name == "caddy":
            return text.replace("https://:443", f"https://127.0.0.1:{port}")
        head = f"ServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/errors\n"
        if os.getuid() == 0:
            head += "User www-data\nGroup www-data\n"
        return head + text.replace("Listen 443", f"Listen 127.0.0.1:{port}").replace(
            "*:443", f"*:{port}"
        )

    def _command(self):
        return {
            "nginx": ["nginx", "-p", str(self.folder), "-c", str(self.path)],
            "haproxy": ["haproxy", "-W", "-f", str(self.path)],
            "caddy": ["caddy", "run", "--config", str(self.path), "--adapter", "caddyfile"],
            "apache": ["apache2", "-D", "FOREGROUND", "-f", str(self.path)],
        }[self.name]

    def reload(self):
        """As each of them reloads, and as its service does. Caddy without `admin` restarts."""
        signals = {"nginx": signal.SIGHUP, "haproxy": signal.SIGUSR2, "apache": signal.SIGUSR1}
        if self.name in signals:
            self.process.popen.send_signal(signals[self.name])
        else:
            self.process.stop()
            self.process = processes.start(self._command(), self.folder / "log", self.port)


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("uvicorn-fast", redis=True, DJANGO_SETTINGS_MODULE="tests.settings.proxied")


@pytest.fixture(scope="module", params=["nginx", "haproxy", "caddy", "apache"])
def front(request, tmp_path_factory, site, certificate):
    server = Front(request.param, tmp_path_factory.mktemp(request.param), site, certificate)
    yield server
    server.process.terminate_group()
    server.process.stop()


@pytest.fixture
def connect(front, open_client):
    async def _connect(token, **options):
        return await open_client(
            token, url=f"{front.url}/ws/".replace("https", "wss"), ssl=front.tls, **options
        )

    return _connect


async def test_pages_of_the_site_open_sockets_and_others_do_not(front):
    own = f"Origin: {front.url}"
    assert await raw_handshake(front.port, "/ws/", own, tls=front.tls) == 101
    for other in ("https://evil.example", front.url.replace("https", "http")):
        assert await raw_handshake(front.port, "/ws/", f"Origin: {other}", tls=front.tls) == 403


async def test_the_address_is_that_of_the_client(front, connect, sign, site):
    client = await connect(
        sign("alice"),
        local_addr=(STRANGER, 0),
        additional_headers={"X-Forwarded-For": "203.0.113.9"},
    )
    id = client.reply["connect"]["client"]
    async with asyncio.timeout(60):
        while True:
            listed = await asyncio.to_thread(site.manage, "realtime", "status", "--json")
            found = [
                each["address"]
                for each in json.loads(listed)["connections"]
                if each["client"] == id
            ]
            if found:
                break
    assert found == [STRANGER]


def first_line(front, path, **headers):
    request = urllib.request.Request(front.url + path, headers=headers)
    with urllib.request.urlopen(request, context=front.tls, timeout=30) as response:
        return response.readline()


async def test_an_event_stream_is_not_held_back(front, sign):
    """The stream goes on, and something has come."""
    path, bearer = "/realtime/sse/?room=lobby", f"Bearer {sign('alice')}"
    assert await asyncio.to_thread(first_line, front, path, Authorization=bearer)


async def test_a_client_of_socketio_polls(front):
    path = "/socket.io/?EIO=4&transport=polling"
    assert (await asyncio.to_thread(first_line, front, path)).startswith(b'0{"sid":')


async def test_a_reload_loses_nothing(front, connect, sign):
    alice, bob = await connect(sign("alice")), await connect(sign("bob"))
    entered = (await alice.call(subscribe={"channel": "lobby"}))["subscribe"]
    await bob.call(subscribe={"channel": "lobby"})
    await bob.call(publish={"channel": "lobby", "data": 1})
    since = {"recover": True, "epoch": entered["epoch"], "offset": entered["offset"]}
    await asyncio.to_thread(front.reload)
    async with asyncio.timeout(60):
        while True:
            try:
                carol = await connect(sign("alice"))
                break
            except OSError:
                await asyncio.sleep(0.1)
    await carol.call(subscribe={"channel": "staff"})
    await carol.call(publish={"channel": "lobby", "data": 2})
    dave = await connect(sign("alice"))
    back = (await dave.call(subscribe={"channel": "lobby", **since}))["subscribe"]
    assert back["recovered"] and [each["data"] for each in back["publications"]] == [1, 2]


def test_units_of_systemd_are_whole():
    """systemd itself is not in each of the places where the tests run."""
    unit = configuration("ini")
    sections = re.findall(r"^\[(\w+)\]$", unit, re.MULTILINE)
    assert sections == ["Unit", "Service", "Install"]
    seconds = int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1])
    assert seconds > 10, "DRAIN_SECONDS"
