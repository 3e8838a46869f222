"""The console of the admin, over two processes: what it lists is there, what it does arrives."""

import asyncio
import re
import time
from functools import partial
from itertools import product

import pytest
from playwright.async_api import expect

from config.management.commands.demo import PASSWORD
from tests.support.admin_forms import Browser
from tests.support.browsers import ARTIFACTS

LIST = "/admin/realtime/connection/"
SECONDS = 60
TTL_SECONDS = 5  # of these settings
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.settings.console"}
DESK, PHONE = {"width": 1280, "height": 760}, {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def pair(start_site):
    """A Daphne and a uvicorn of one site, whose signs of life end soon."""
    daphne = start_site("daphne", redis=True, **SETTINGS)
    return daphne, start_site("uvicorn", beside=daphne)


@pytest.fixture(scope="module")
def site(pair):
    """The site whose users `sign` uses."""
    return pair[0]


@pytest.fixture(scope="module")
def admins(pair):
    """An administrator, signed in at each of the two."""
    return [Browser(site.url).sign_in("admin", PASSWORD) for site in pair]


@pytest.fixture
async def people(pair, admins, open_client, sign):
    """The sockets of alice and bob, each with one in both processes and all in the lobby."""
    opened = {"alice": [], "bob": []}
    for (name, clients), at in product(opened.items(), pair):
        client = await open_client(url=at.ws_url, connect=False)
        about = {"token": sign(name), "name": "js", "version": "5.3.5"}
        client.reply = await client.call(connect=about)
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
        clients.append(client)
    await until_listed(admins[0], ids(*opened.values()), "?room=lobby")
    return opened


def ids(*groups):
    return {client.reply["connect"]["client"] for group in groups for client in group}


async def listed(admin, query=""):
    html = await asyncio.to_thread(admin.read, LIST + query)
    return set(re.findall(r'name="_selected_action" value="([^"]+)"', html))


async def until_listed(admin, expected, query=""):
    async with asyncio.timeout(SECONDS):
        while await listed(admin, query) != expected:
            await asyncio.sleep(0.05)


async def do(admin, action, query, **fields):
    """Open the page that asks, fill it in and confirm it."""
    form = await asyncio.to_thread(admin.form, f"{LIST}{action}/{query}")
    form.fill(**fields)
    await asyncio.to_thread(admin.send, f"{LIST}{action}/", form)


async def push(client, kind):
    async with asyncio.timeout(SECONDS):
        frame = await client.until(lambda frame: kind in frame.get("push", {}))
    return frame["push"]


async def test_each_process_lists_the_connections_of_both(people, admins):
    for admin in admins:
        assert await listed(admin) == ids(*people.values())
        assert await listed(admin, "?q=ALICE") == ids(people["alice"])
        html = await asyncio.to_thread(admin.read, LIST)
        assert html.count("daphne") and html.count("uvicorn")


@pytest.mark.parametrize("at", [0, 1], ids=["at daphne", "at uvicorn"])
async def test_a_user_is_disconnected_in_both_processes(people, admins, at):
    await do(admins[at], "disconnect", "?q=alice", reason="spam in the lobby")
    for client in people["alice"]:
        assert await client.closed() == 3503
        assert client.connection.close_reason == "spam in the lobby"
    # Without waiting: what was closed is off the list when the administrator is back on it.
    assert await listed(admins[at]) == ids(people["bob"])
    for client in people["bob"]:
        assert "ping" in await client.call(ping={})


async def test_a_muted_user_reads_but_does_not_publish(pair, people, admins, open_client, sign):
    carol = [await open_client(sign("carol"), url=site.ws_url) for site in pair]
    for client in carol:
        await client.call(subscribe={"channel": "lobby"})
        assert "publish" in await client.call(publish={"channel": "lobby", "data": "before"})
    await until_listed(admins[0], ids(carol), "?room=lobby&q=carol")
    await do(admins[0], "mute", "?room=lobby&q=carol", room="lobby")
    async with asyncio.timeout(SECONDS):
        for client in carol:
            while "error" not in (
                reply := await client.call(publish={"channel": "lobby", "data": "after"})
            ):
                await asyncio.sleep(0.02)
            assert reply["error"]["code"] == 103
    await people["bob"][0].call(publish={"channel": "lobby", "data": "to all"})
    async with asyncio.timeout(SECONDS):
        for client in carol:
            while (await client.publication("lobby"))["data"] != "to all":
                pass


async def test_a_user_removed_from_a_room_is_notified_in_both_processes(people, admins):
    await do(admins[1], "remove", "?q=alice&room=lobby", room="lobby", reason="off topic")
    for client in people["alice"]:
        told = await push(client, "unsubscribe")
        assert told == {"channel": "lobby", "unsubscribe": {"code": 2000, "reason": "off topic"}}
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    for client in people["bob"]:
        assert "error" in await client.call(subscribe={"channel": "lobby"}), "bob is still in it"


async def test_a_notice_is_shown_to_who_was_chosen(people, admins):
    await do(admins[0], "notify", "?q=alice", text="Maintenance at six.\n<b>")
    for client in people["alice"]:
        told = await push(client, "message")
        assert told["message"]["data"] == {
            "realtime": "notice",
            "text": "Maintenance at six.\n<b>",
        }
    for client in people["bob"]:
        await client.call(ping={})
        assert not [frame for frame in client.frames if "message" in frame.get("push", {})]


async def test_connections_of_a_process_that_was_killed_end(
    pair, start_site, people, admins, open_client, sign
):
    doomed = await asyncio.to_thread(partial(start_site, "uvicorn", beside=pair[0]))
    client = await open_client(sign("carol"), url=doomed.ws_url)
    await until_listed(admins[0], ids([client], *people.values()))
    doomed.process.kill()
    begun = time.monotonic()
    await until_listed(admins[0], ids(*people.values()))
    assert time.monotonic() - begun < TTL_SECONDS + 20
    html = await asyncio.to_thread(admins[0].read, LIST)
    assert f"{doomed.process.popen.pid} ·" not in html


# In a browser


async def pictures(page, name):
    """The whole page, in light and dark and on a phone, where nothing sticks out."""
    ARTIFACTS.mkdir(exist_ok=True)
    for look, scheme, size in (
        ("light", "light", DESK),
        ("dark", "dark", DESK),
        ("phone", "light", PHONE),
    ):
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size(size)
        path = ARTIFACTS / f"console-{name}-{look}.png"
        await page.screenshot(path=path, full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    await page.set_viewport_size(DESK)


async def test_the_console_looks_like_the_admin(pair, people, open_admin):
    admin = await open_admin(pair[0], "realtime/connection/")
    await expect(admin.get_by_role("link", name="alice")).to_have_count(2)
    await pictures(admin, "list")
    await admin.goto(f"{pair[0].url}{LIST}remove/?room=lobby")
    await expect(admin.get_by_label("Whom it concerns")).to_contain_text("alice")
    await pictures(admin, "confirmation")
    await admin.goto(f"{pair[0].url}/admin/realtime/room/?q=lobby")
    await admin.get_by_role("link", name="lobby").click()
    await expect(admin.get_by_role("heading", name="In the room now")).to_be_visible()
    await pictures(admin, "room")
    await admin.get_by_role("link", name="alice", exact=True).click()
    await expect(admin.get_by_role("heading", name="Live connections")).to_be_visible()
    await pictures(admin, "user")
    await admin.get_by_text("Explain the rights in").get_by_role("link", name="lobby").click()
    await expect(admin.get_by_text("alice may join lobby: every signed-in user")).to_be_visible()
    await pictures(admin, "explanation")


async def test_somebody_is_disconnected_by_keyboard_alone(pair, people, open_admin):
    admin = await open_admin(pair[1], "realtime/connection/")
    keys = admin.keyboard

    async def go_to(locator):
        """Press Tab until the focus is there."""
        for _ in range(60):
            if await locator.evaluate("it => it === document.activeElement"):
                return
            await keys.press("Tab")
        raise AssertionError("it can't be reached")

    await go_to(admin.locator("#searchbar"))
    await keys.type("alice")
    await keys.press("Enter")
    await expect(admin.get_by_text("2 results (4 total)")).to_be_visible()
    await go_to(admin.get_by_label("Action:"))
    await keys.type("Disc")
    await go_to(admin.get_by_label("Select all objects on this page"))
    await keys.press("Space")
    await expect(admin.get_by_text("2 of 2 selected")).to_be_visible()
    await keys.press("Enter")
    await expect(admin.get_by_role("heading", name="Disconnect")).to_be_visible()
    await go_to(admin.get_by_label("Reason"))
    await keys.type("spam")
    await keys.press("Enter")
    await expect(admin.get_by_text("2 connections of alice were closed.")).to_be_visible()
    await expect(admin.get_by_text("No connection matches.")).to_be_visible()
    for client in people["alice"]:
        assert await client.closed() == 3503
