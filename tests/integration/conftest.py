"""Real servers, real sockets, and what every test over them must leave behind: clean logs."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid

import jwt
import pytest
import websockets
from rest_framework_simplejwt.utils import get_md5_hash_password

from tests.support import processes
from tests.support.browsers import browser as browser
from tests.support.browsers import chromium as chromium
from tests.support.browsers import open_admin as open_admin
from tests.support.browsers import open_page as open_page
from tests.support.browsers import sign_in as sign_in
from tests.support.browsers import sign_in_at as sign_in_at

CLIENTS = processes.ROOT / "tests" / "integration" / "clients"
_ABORTED = re.compile(
    r".* ERROR +Task exception was never retrieved\n.*\n(?:.*\n)*?.*RequestAborted.*\n"
)
"""Django's own, if a client goes away before its request is answered."""
_UNCLEAN = re.compile(r"Traceback|\bERROR\b|\b1011\b|\" 500\b| 500 ", re.IGNORECASE)


@pytest.fixture(scope="session")
def demo_database(tmp_path_factory, worker_id):
    """A database with the demo data, to be copied. Migrating takes seconds, copying none."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent  # the workers have it in common, and the first one makes it
    path = folder / "demo.sqlite3"
    with (folder / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _make_demo_database(folder / "unfinished.sqlite3").rename(path)
    return path


def _make_demo_database(path):
    env = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{path}",
        "DJANGO_SETTINGS_MODULE": "tests.settings.base",
        "DJANGO_DEBUG": "1",
    }
    for command in (["migrate", "--verbosity", "0"], ["demo"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=processes.ROOT,
            env=env,
            check=True,
            capture_output=True,
        )
    return path


@pytest.fixture(scope="session")
def started_sites():
    """All sites that tests have started and that still run."""
    return []


@pytest.fixture(scope="session")
def shared_sites():
    """Those of them that outlive a module, by their server."""
    return {}


@pytest.fixture(scope="module", autouse=True)
def no_site_outlives_its_module(started_sites, shared_sites):
    """A server that nobody needs any more takes memory, and time of the others."""
    yield
    for site in [site for site in started_sites if site not in shared_sites.values()]:
        site.process.kill()
        started_sites.remove(site)


@pytest.fixture(scope="session")
def start_site(demo_database, tmp_path_factory, request, started_sites):
    """`start_site("daphne", redis=True, beside=other, NAME=value)` starts a server of the site.

    Each has its own database and Redis prefix, unless it is started `beside` another one. `options`
    are words for the command line of the server.
    """

    def _start(server, *, redis=False, beside=None, options=(), **env):
        folder = tmp_path_factory.mktemp(server)
        if beside is None:
            database = folder / "db.sqlite3"
            shutil.copy(demo_database, database)
            env = {"DATABASE_URL": f"sqlite:///{database}", **env}
            if redis:
                env["REDIS_URL"] = request.getfixturevalue("redis_server")
                env["REDIS_PREFIX"] = f"test-{uuid.uuid4().hex[:8]}"
        else:
            env = {**beside.env, **env}
        site = processes.start_site(server, folder, env, options=options)
        started_sites.append(site)
        return site

    yield _start
    for site in started_sites:
        site.process.kill()


@pytest.fixture(scope="session")
def shared_site(start_site, shared_sites):
    """`shared_site("daphne")`: the site on Redis and this server, started once for all modules.

    Tests may add to it, and count what they add. What changes its users or rooms, or ends it, has a
    site of its own.
    """

    def _site(server):
        if server not in shared_sites:
            shared_sites[server] = start_site(server, redis=True)
        return shared_sites[server]

    return _site


@pytest.fixture(scope="session", params=["daphne", "uvicorn", "uvicorn-fast"])
def site(request, shared_site):
    """One site on Redis, on each of the servers."""
    return shared_site(request.param)


@pytest.fixture
def secrets():
    """Texts that must not be in any log: every token, ticket and payload of a test."""
    return set()


@pytest.fixture(autouse=True)
def clean_logs(started_sites, secrets):
    """No traceback, no ERROR line, no 1011, no 500, no secret in what the servers print."""
    before = {site.port: site.process.log.stat().st_size for site in started_sites}
    yield
    for site in started_sites:
        with site.process.log.open("rb") as log:
            log.seek(before.get(site.port, 0))
            printed = log.read().decode(errors="replace")
        printed = _ABORTED.sub("", printed)
        if found := _UNCLEAN.search(printed):
            pytest.fail(printed[max(0, found.start() - 500) : found.end() + 2500], pytrace=False)
        assert not any(secret in printed for secret in secrets), "a secret is in the log"


@pytest.fixture
def sign(site, demo_database, secrets):
    """`sign("alice", lifetime=60, key=..., **claims)`: a token made as by another service."""
    passwords = password_hashes(site.env["DATABASE_URL"] if site else f"sqlite:///{demo_database}")

    def _sign(
        user="alice", *, lifetime=300, key=processes.SIGNING_KEY, algorithm="HS256", **claims
    ):
        now = int(time.time())
        user_id, revoke = passwords.get(user, (user, ""))
        payload = {
            "token_type": "access",
            "user_id": user_id,
            "hash_password": revoke,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + lifetime,
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value is not ...}
        token = jwt.encode(payload, key, algorithm=algorithm)
        secrets.add(token)
        return token

    return _sign


@functools.cache
def password_hashes(database_url):
    """The user id and the password's digest that SimpleJWT puts into a token, as they were at the
    first question."""
    path = database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        users = database.execute("SELECT username, id, password FROM auth_user").fetchall()
    return {name: (str(pk), get_md5_hash_password(password)) for name, pk, password in users}


class Client:
    """A bare client of the native protocol."""

    def __init__(self, connection):
        self.connection = connection
        self.frames = []
        self._ids = iter(range(1, 1_000_000))

    async def send(self, **command):
        id = next(self._ids)
        await self.connection.send(json.dumps({"id": id, **command}))
        return id

    async def call(self, **command):
        """Send a command and wait for its reply."""
        id = await self.send(**command)
        return await self.until(lambda frame: frame.get("id") == id)

    async def publication(self, room=None):
        """The next publication."""
        frame = await self.until(
            lambda frame: (
                "pub" in frame.get("push", {}) and room in (None, frame["push"]["channel"])
            )
        )
        return frame["push"]["pub"]

    async def until(self, matches):
        """The first frame that matches; what came before it stays for the next question."""
        while True:
            for index, frame in enumerate(self.frames):
                if matches(frame):
                    return self.frames.pop(index)
            text = await self.connection.recv()
            arrived = [json.loads(line) for line in text.split("\n")]
            self.frames += arrived
            if {} in arrived:  # a ping: a test that takes longer than usual must not be cut for it
                with contextlib.suppress(websockets.ConnectionClosed):
                    await self.connection.send("{}")

    async def first(self):
        """The first frame; an empty one if the server closes instead."""
        try:
            return await self.until(lambda frame: True)
        except websockets.ConnectionClosed:
            return {}

    async def closed(self):
        """The close code of the server; 1006 if it cuts the connection."""
        try:
            while True:
                await self.connection.recv()
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


@pytest.fixture
async def open_client(site):
    """`await open_client(token, url=..., path=..., connect=False)`, and what `websockets` takes."""
    opened = []

    async def _open(token=None, *, url=None, path="", connect=True, **options):
        options.setdefault("close_timeout", 2)  # some of these clients don't read any more
        connection = await websockets.connect((url or site.ws_url) + path, **options)
        opened.append(connection)
        client = Client(connection)
        if connect:
            client.reply = await client.call(connect={"token": token} if token else {})
        return client

    yield _open
    for connection in opened:
        await connection.close()


@pytest.fixture
def run_node():
    """Run a script of `clients/` and return what it prints, one JSON value a line."""
    return lambda script, **env: _run_client(["node", script], env)


@pytest.fixture
def run_old_python_sdk():
    """Run `clients/python_sdk.py` with the oldest release that is supported."""
    modules = {"PYTHONPATH": str(CLIENTS / "python_modules")}
    return lambda **env: _run_client([sys.executable, "python_sdk.py"], modules | env)


def _run_client(command, env):
    finished = subprocess.run(
        command,
        cwd=CLIENTS,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert finished.returncode == 0, finished.stderr[-2000:] + finished.stdout[-2000:]
    return [json.loads(line) for line in finished.stdout.splitlines()]
