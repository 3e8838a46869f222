"""`publish` from wherever a site runs code: workers, threads, views, coroutines, transactions."""

import asyncio
import json

import pytest

PUBLISHERS = {
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda n: publish("lobby", n), range(1, 41)))
""",
    "a forked worker": """
import os
publish("lobby", 1)
for n in (2, 3):
    if (child := os.fork()) == 0:
        publish("lobby", n)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
publish("lobby", 4)
""",
    "a WSGI view": """
import io, sys, types
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
def view(request):
    publish("lobby", 1)
    return HttpResponse("sent")
urls = types.ModuleType("urls_of_the_test")
urls.urlpatterns = [path("say/", view)]
sys.modules["urls_of_the_test"] = urls
settings.ROOT_URLCONF = "urls_of_the_test"
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/say/", "SERVER_NAME": "localhost",
           "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
assert b"sent" in b"".join(get_wsgi_application()(environ, lambda *answer: None))
""",
    "one event loop after the other": """
import asyncio
for n in range(1, 4):
    asyncio.run(apublish("lobby", n))
""",
    "a transaction that rolls back, and one that does not": """
from django.db import transaction
try:
    with transaction.atomic():
        publish("lobby", "never")
        raise ValueError
except ValueError:
    pass
with transaction.atomic():
    publish("lobby", 1)
""",
    "a task that is tried again": """
for _ in range(3):
    publish("lobby", 1, idempotency_key="order-1-paid-%s")
publish("lobby", 2)
""",
}


@pytest.fixture(scope="module")
def site(start_site):
    """One server is enough: what publishes is another process."""
    return start_site("uvicorn", redis=True)


@pytest.mark.parametrize("publisher", PUBLISHERS)
async def test_it_reaches_the_members_once_and_in_order(publisher, site, open_client, sign):
    member = await open_client(sign("alice"))
    reply = await member.call(subscribe={"channel": "lobby"})
    start = reply["subscribe"]["offset"]
    code = PUBLISHERS[publisher].replace("%s", str(start))
    code = f"from realtime import apublish, publish\n{code}\npublish('lobby', 'end')"
    await asyncio.to_thread(site.shell, code)
    heard = []
    async with asyncio.timeout(60):
        while not heard or heard[-1]["data"] != "end":
            heard.append(await member.publication("lobby"))
    assert [pub["offset"] for pub in heard] == list(range(start + 1, start + 1 + len(heard)))
    numbers = sorted(pub["data"] for pub in heard[:-1])
    assert numbers == list(range(1, len(numbers) + 1)), json.dumps(numbers)
    assert numbers
