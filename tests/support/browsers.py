"""A real browser, and what people do on the playground and in the admin."""

from __future__ import annotations

import re
from functools import partial
from weakref import WeakKeyDictionary

import pytest
from playwright.async_api import async_playwright, expect

from config.management.commands.demo import PASSWORD
from tests.support import processes

ARTIFACTS = processes.ROOT / "test-artifacts"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--disable-crash-reporter",
    # Pages that are not in front go on as those that are.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--mute-audio",
]


_sockets = WeakKeyDictionary()
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """The address of a Chromium. To start it takes longer than most tests."""
    port, folder = processes.free_port(), tmp_path_factory.mktemp("chromium")
    options = [f"--remote-debugging-port={port}", f"--user-data-dir={folder}", *ARGUMENTS]
    program = processes.start(["/usr/bin/chromium", *options], folder / "chromium.log", port)
    yield f"http://127.0.0.1:{port}"
    program.kill()


@pytest.fixture
async def browser(chromium):
    """A browser whose profiles end with the test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium, timeout=60_000)
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(browser):
    """A page of its own browser profile that must show no dialog and no error in its console."""
    unwanted = []

    async def _open(url, **options):
        context = await browser.new_context(
            viewport=options.pop("viewport", {"width": 1280, "height": 760}), **options
        )
        page = await context.new_page()
        _sockets[page] = []
        page.on("websocket", lambda socket: _sockets[page].append(socket))
        page.on("dialog", lambda dialog: unwanted.append(f"dialog: {dialog.message}"))
        page.on("pageerror", lambda error: unwanted.append(f"error: {error}"))
        await page.goto(url)
        return page

    yield _open
    assert not unwanted


@pytest.fixture
async def sign_in_at(open_page):
    """`await sign_in_at(site, "alice")`: the playground of `site`, where alice is signed in."""

    async def _sign_in(site, name, password=PASSWORD, **options):
        page = await open_page(site.url, **options)
        await fill_in(page, name, password)
        return page

    return _sign_in


@pytest.fixture
async def sign_in(sign_in_at, site):
    """`sign_in_at` for the site of the test."""
    return partial(sign_in_at, site)


@pytest.fixture
async def open_admin(open_page):
    """`await open_admin(site, path)`: a page of the admin, where `admin` is signed in."""

    async def _open(site, path="", **options):
        page = await open_page(f"{site.url}/admin/{path}", **options)
        await fill_in(page, "admin", PASSWORD)
        await expect(page.get_by_role("button", name="Log out")).to_be_visible()
        return page

    return _open


async def fill_in(page, name, password=PASSWORD):
    """Sign in: the page asks for it."""
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.keyboard.press("Enter")


def sockets(page):
    """All WebSockets that a page has opened so far."""
    return _sockets[page]


async def show(page, room):
    await page.get_by_role("navigation").get_by_role("button", name=room).click()
    await expect(page.locator("#room-title")).to_have_text(room)


async def enter(page, room):
    """Show a room, and wait until the server has let the page in: what is said then is heard."""
    await show(page, room)
    await expect(messages(page)).to_contain_text(re.compile("You are (in the room|back)"))


async def say(page, text):
    await expect(page.get_by_label("Message", exact=True)).to_be_enabled()
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def picture(page, name):
    ARTIFACTS.mkdir(exist_ok=True)
    await page.bring_to_front()  # Chromium draws no tab that is behind another one
    await page.screenshot(path=ARTIFACTS / f"{name}.png", timeout=120_000)


def messages(page):
    return page.get_by_label("Messages")


def people(page):
    return page.get_by_role("list", name="Here now").get_by_role("listitem")
