"""Many clients that reconnect at once, and the load on the database of a real server."""

import asyncio
import json
import time
import uuid
from contextlib import AsyncExitStack, contextmanager

import jwt
import pytest
import websockets

from tests.support import processes
from tests.support.outcomes import outcomes_at

USERS = 300


@pytest.fixture(scope="module")
def site(start_site):
    site = start_site("uvicorn-fast", redis=True, DJANGO_SETTINGS_MODULE="tests.settings.query_log")
    yield site
    site.process.stop()


@pytest.fixture(scope="module")
def people(site):
    """Keys of users, with the digest of their password that is in their tokens."""
    printed = site.shell(
        "import json\n"
        "from django.contrib.auth.models import User\n"
        "from rest_framework_simplejwt.utils import get_md5_hash_password as digest\n"
        f"people = [User(username=f'person{{n}}', password='!') for n in range({USERS})]\n"
        "User.objects.bulk_create(people)\n"
        "print(json.dumps([[str(person.pk), digest(person.password)] for person in people]))"
    )
    return json.loads(printed.splitlines()[-1])


@pytest.fixture
def issue(people, secrets):
    """A new token for everybody."""

    def _issue(lifetime=300):
        tokens = [
            jwt.encode(
                {
                    "token_type": "access",
                    "jti": uuid.uuid4().hex,
                    "exp": int(time.time()) + lifetime,
                    "user_id": user_id,
                    "hash_password": digest,
                },
                processes.SIGNING_KEY,
            )
            for user_id, digest in people
        ]
        secrets.update(tokens)
        return tokens

    return _issue


@pytest.fixture
def count_queries(site):
    @contextmanager
    def _count():
        queries = []
        before = site.process.log.stat().st_size
        yield queries
        printed = site.process.log.read_bytes()[before:].decode()
        queries += [
            line for line in printed.split("\n") if "tests.support.query_log: query" in line
        ]

    return _count


async def test_a_storm_of_users_who_come_back_costs_few_queries(site, issue, count_queries):
    async with AsyncExitStack() as sockets:

        async def enter(token):
            socket = await sockets.enter_async_context(websockets.connect(site.ws_url))
            await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
            await socket.send(json.dumps({"id": 2, "subscribe": {"channel": "lobby"}}))
            replies = {}
            while len(replies) < 2:
                lines = map(json.loads, (await socket.recv()).split("\n"))
                replies |= {reply["id"]: reply for reply in lines if "id" in reply}
            return "connect" in replies[1] and "subscribe" in replies[2]

        async with asyncio.timeout(60):
            # From its first client on, a process hears of changes and remembers what it read.
            assert await enter(issue()[0])
            with count_queries() as cold:
                assert all(await asyncio.gather(*map(enter, issue())))
            with count_queries() as warm:
                assert all(await asyncio.gather(*map(enter, issue())))
    assert 1 <= len(cold) <= USERS / 2
    assert len(warm) <= 10


async def test_a_storm_of_expired_tokens_costs_none(site, issue, count_queries):
    with count_queries() as queries:
        for _ in range(3):
            answers = await outcomes_at(site.ws_url, *issue(lifetime=-60))
            assert answers == [109] * USERS
    assert queries == []
