"""The script of `{% realtime_script %}` in Chromium, on a site as it is deployed: hashed files, a
strict Content-Security-Policy, sessions. Whatever happens to a page, no message is lost or doubled.

Long, because its tests share one server.
"""

from __future__ import annotations

import asyncio
import json
import re
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from playwright.async_api import async_playwright, expect

from tests.support import processes
from tests.support.browsers import ARGUMENTS


@pytest.fixture(scope="module")
def site(start_site, tmp_path_factory):
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.settings.live_pages",
        "DEPLOYED_ROOT": str(tmp_path_factory.mktemp("static")),
    }
    ignored = [word for name in ("admin", "rest_framework") for word in ("--ignore", name)]
    processes.Site(None, 0, env).manage("collectstatic", "--no-input", "-v", "0", *ignored)
    return start_site("daphne", **env)


@pytest.fixture
async def browser():
    """Chromium that keeps pages for the Back button: Playwright switches that off."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=ARGUMENTS,
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def printed():
    """What the pages print in their consoles."""
    return []


@pytest.fixture
async def open_live_page(open_page, site, printed):
    """`await open_live_page()`: the page of alice, connected. It must print nothing."""

    async def _open(path="/"):
        page = await open_page(f"{site.url}/other/")
        page.on("console", lambda message: printed.append(message.text))
        await page.goto(f"{site.url}/enter/alice/")
        if path != "/":
            await page.goto(site.url + path)
        await expect(page.get_by_role("status")).to_have_text("connected")
        return page

    return _open


def status(url):
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


@pytest.fixture
def say(site):
    """Publish from a view of the server."""

    def _say(*texts):
        for text in texts:
            assert status(f"{site.url}/say/{text}/") == 204

    return _say


def heard(page):
    return page.get_by_role("list", name="Messages").get_by_role("listitem")


async def test_a_strict_policy_hashed_files_and_a_session(open_live_page, site, say, printed):
    page = await open_live_page()
    say("hello")
    await expect(heard(page)).to_have_text(["hello"])
    src = await page.locator("script[data-realtime]").get_attribute("src")
    assert re.fullmatch(r"/static/realtime/client\.[0-9a-f]{12}\.js", src)
    assert status(f"{site.url}/static/realtime/client.js") == 404
    assert await page.evaluate(f"import('{src}').then((it) => it.realtime === window.realtime)")
    assert printed == []


async def test_a_message_to_one_user(open_live_page, site):
    page = await open_live_page()
    await page.evaluate("new Promise((resolve) => realtime.user.on('joined', resolve))")
    for name, text in [("bob", "for bob"), ("alice", "for alice")]:
        assert status(f"{site.url}/tell/{name}/{quote(text)}/") == 204
    await expect(page).to_have_title("for alice")


async def test_by_keyboard(open_live_page):
    page = await open_live_page()
    await page.keyboard.press("Tab")
    await page.keyboard.type("by keyboard")
    await page.keyboard.press("Enter")
    await expect(heard(page)).to_have_text(["by keyboard"])
    await expect(page.get_by_label("Message", exact=True)).to_have_value("")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()


async def test_what_is_said_between_rendering_and_subscribing(open_live_page, say):
    say("before")
    page = await open_live_page("/?meanwhile=meanwhile")
    say("after")
    await expect(heard(page)).to_have_text(["meanwhile", "after"])


async def test_the_back_button(open_live_page, say, printed):
    page = await open_live_page()
    say("one")
    await expect(heard(page)).to_have_text(["one"])
    await page.evaluate(
        "addEventListener('pageshow', ({ persisted }) => document.title = `kept: ${persisted}`)"
    )
    await page.get_by_role("link").click()
    await expect(page).to_have_title("Another page")
    say("two", "three")
    await page.evaluate("history.back()")
    await expect(page).to_have_title("kept: true")
    await expect(page.get_by_role("status")).to_have_text("connected")
    say("four")
    await expect(heard(page)).to_have_text(["one", "two", "three", "four"])
    assert printed == []


class Tab:
    """A tab that Playwright has not attached to: it would keep the tab in sight, and only what is
    out of sight can be frozen."""

    def __init__(self, devtools):
        self.devtools = devtools
        self.session = None
        self.answers = asyncio.Queue()
        devtools.on("Target.receivedMessageFromTarget", lambda event: self._receive(event))

    def _receive(self, event):
        answer = json.loads(event["message"])
        if "id" in answer:
            # While a page is loaded, there is nowhere to evaluate.
            self.answers.put_nowait(answer.get("result", {}))

    async def open(self, url):
        target = await self.devtools.send("Target.createTarget", {"url": url})
        attached = await self.devtools.send(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": False}
        )
        self.session = attached["sessionId"]

    async def send(self, method, **params):
        message = json.dumps({"id": 1, "method": method, "params": params})
        await self.devtools.send(
            "Target.sendMessageToTarget", {"sessionId": self.session, "message": message}
        )
        async with asyncio.timeout(10):
            return await self.answers.get()

    async def until(self, expression, value):
        """Wait until an expression has a value."""
        got = None
        for _ in range(200):
            answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
            got = answer.get("result", {}).get("value")
            if got == value:
                return
            await asyncio.sleep(0.05)
        pytest.fail(f"{expression} is {got!r}, not {value!r}")


async def test_a_frozen_page(browser, site, say):
    devtools = await browser.new_browser_cdp_session()
    tab = Tab(devtools)
    await tab.open(f"{site.url}/enter/alice/")
    await tab.until("document.querySelector('[role=status]')?.textContent", "connected")
    listen = """self.events = [];
        realtime.on("state", ({ state }) => events.push(state));
        for (const event of ["freeze", "resume"])
            document.addEventListener(event, () => events.push(event));
        "listening" """
    await tab.until(listen, "listening")
    said = "[...document.querySelectorAll('li')].map((item) => item.textContent).join()"
    say("one")
    await tab.until(said, "one")
    await tab.send("Page.setWebLifecycleState", state="frozen")
    say("two", "three")
    await tab.send("Page.setWebLifecycleState", state="active")
    await tab.until("events.join()", "connecting,freeze,resume,connected")
    say("four")
    await tab.until(said, "one,two,three,four")


async def test_offline_and_back(open_live_page, say):
    page = await open_live_page()
    say("one")
    await expect(heard(page)).to_have_text(["one"])
    await page.context.set_offline(True)
    await expect(page.get_by_role("status")).to_have_text("connecting")
    say("two")
    sent = page.evaluate("realtime.rpc('no.such').catch(({ name }) => name)")
    await page.context.set_offline(False)
    assert await sent == "MethodNotFound"  # it waited for the connection
    say("three")
    await expect(heard(page)).to_have_text(["one", "two", "three"])


async def test_a_laptop_that_slept(open_live_page, say):
    page = await open_live_page()
    await page.clock.install()
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("connected")
    states = "(window.states = [], realtime.on('state', ({ state }) => states.push(state)), 0)"
    await page.evaluate(states)
    say("one")
    await expect(heard(page)).to_have_text(["one"])
    await page.clock.fast_forward("02:00:00")
    await expect(page.get_by_role("status")).to_have_text("connected")
    say("two")
    await expect(heard(page)).to_have_text(["one", "two"])
    assert await page.evaluate("states") == ["connecting", "connected"]


async def test_a_visitor_who_is_not_signed_in(open_page, site):
    page = await open_page(f"{site.url}/")
    await expect(page.get_by_role("status")).to_have_text("closed")


async def test_tickets_without_a_session(open_page, site):
    page = await open_page(f"{site.url}/")
    await expect(page.get_by_role("status")).to_have_text("closed")
    opened = """async (token) => {
        const headers = { Authorization: `Bearer ${token}` };
        const getTicket = async () =>
            (await (await fetch("/realtime/ticket/", { method: "POST", headers })).json()).ticket;
        const other = new realtime.constructor({ url: realtime.url, getTicket });
        for (let time = 0; time < 2; time++) {
            const joined = new Promise((resolve) => other.room("lobby").on("joined", resolve));
            await joined;
            dispatchEvent(new Event("offline"));
            dispatchEvent(new Event("online"));
        }
        other.close();
        return true;
    }"""
    assert await page.evaluate(opened, site.token("alice"))


async def test_a_developer_reads_in_the_console_what_is_wrong(open_page, start_site):
    site = start_site("daphne", DJANGO_SETTINGS_MODULE="tests.settings.live_pages")
    page = await open_page(f"{site.url}/other/")
    printed = []
    page.on("console", lambda message: printed.append(message.text))

    async def read(*sentences):
        for sentence in sentences:
            for _ in range(100):
                if any(sentence in text for text in printed):
                    break
                await page.wait_for_timeout(50)
            else:
                pytest.fail(f"{sentence!r} is not in {printed[:5]}")

    await page.goto(site.url)  # nobody is signed in
    await read("The server accepts no credential of this page (3500, ")
    await page.goto(f"{site.url}/enter/carol/")
    await page.evaluate("void realtime.room('staff').on('message', () => {})")
    await page.evaluate("realtime.rpc('no.such').catch(() => {})")
    await read(
        "python manage.py realtime explain carol staff join",
        'rpc "no.such" failed (104, ',
    )
    await page.evaluate("realtime.close(), realtime.configure({ url: '/nowhere/' }).connect()")
    elsewhere = site.ws_url.replace("/ws/", "/nowhere/")
    failed = f"No WebSocket could be opened at {elsewhere}."
    await read(f"{failed}\n* The socket of this site is at {site.ws_url}.")


async def test_the_playground_finds_its_hashed_modules_as_staff(open_page, site, printed):
    page = await open_page(f"{site.url}/enter/admin/")
    page.on("console", lambda message: printed.append(message.text))
    await page.goto(f"{site.url}/playground/")
    await expect(page.locator("#connection")).to_have_text("Connected")
    await expect(page.get_by_role("button", name="Lobby")).to_be_visible()
    await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    assert status(f"{site.url}/static/realtime/playground/page.js") == 404
    assert status(f"{site.url}/playground/") == 404, "without a session"
    assert printed == []
