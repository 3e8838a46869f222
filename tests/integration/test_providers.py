"""Libraries that make a site a provider of tokens: their tests, and one over a real server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.parse
import urllib.request

import centrifuge
import pytest

from tests.realtime.authentication.conftest import LIBRARIES
from tests.support import processes

SET_UP = """
import datetime, json
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
call_command("migrate", verbosity=0)
from oauth2_provider.models import AccessToken, Application, RefreshToken
application = Application.objects.create(
    client_id="app", client_type="public", authorization_grant_type="authorization-code",
    redirect_uris="https://app.example.com/",
)
alice = User.objects.get(username="alice")
RefreshToken.objects.create(
    user=alice, application=application, token="first-refresh-token",
    token_family="8a7c2f1e-4c57-4b6c-9d0e-3f1a2b4c5d6e",
    access_token=AccessToken.objects.create(
        user=alice, application=application, token="first-access-token",
        scope="realtime:join realtime:publish", expires=timezone.now(),
    ),
)
"""


def test_the_tests_of_optional_libraries_pass():
    paths = [f"tests/realtime/authentication/{name}" for name in LIBRARIES]
    command = [sys.executable, "-m", "pytest", "--quiet", "--numprocesses=0", *paths]
    done = subprocess.run(
        [*command, "--ds=tests.settings.providers", "-p", "no:cacheprovider"],
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.fixture
def ask(start_site, secrets):
    """`await ask("token", grant_type=…)`: what an endpoint of django-oauth-toolkit answers."""
    site = start_site(
        "uvicorn-fast", redis=True, DJANGO_SETTINGS_MODULE="tests.settings.provider_site"
    )
    site.shell(SET_UP)

    def post(path, words):
        data = urllib.parse.urlencode({"client_id": "app", **words}).encode()
        with urllib.request.urlopen(f"{site.url}/o/{path}/", data, timeout=60) as answer:
            return answer.read()

    async def _ask(path, **words):
        answer = await asyncio.to_thread(post, path, words)
        tokens = json.loads(answer) if answer else {}
        secrets.update(tokens[name] for name in ("access_token", "refresh_token") if tokens)
        return tokens

    _ask.site = site
    return _ask


class Watch(centrifuge.ClientEventHandler):
    def __init__(self):
        self.states, self.code = [], asyncio.get_running_loop().create_future()

    async def on_connected(self, ctx):
        self.states.append("connected")

    async def on_connecting(self, ctx):
        self.states.append("connecting")

    async def on_disconnected(self, ctx):
        self.code.set_result(ctx.code)


async def test_the_sdk_refreshes_and_a_revoked_token_ends_it(ask):
    """Each refresh replaces the access token, which the library deletes, on the open connection."""
    tokens, refreshed = [{"refresh_token": "first-refresh-token"}], asyncio.Queue()
    watch, one_at_a_time, is_revoked = Watch(), asyncio.Lock(), asyncio.Event()

    async def get_token():
        async with one_at_a_time:
            if is_revoked.is_set():
                await asyncio.shield(watch.code)
                return ""
            newest = tokens[-1]["refresh_token"]
            tokens.append(await ask("token", grant_type="refresh_token", refresh_token=newest))
        refreshed.put_nowait(len(tokens))
        return tokens[-1]["access_token"]

    client = centrifuge.Client(ask.site.ws_url, events=watch, get_token=get_token)
    async with asyncio.timeout(120):
        await client.connect()
        await client.ready()
        for _ in range(3):
            await refreshed.get()
        assert watch.states == ["connecting", "connected"]
        async with one_at_a_time:
            await ask("revoke_token", token=tokens[-1]["refresh_token"])
            is_revoked.set()
        assert await watch.code == 3500
    assert watch.states == ["connecting", "connected"]
