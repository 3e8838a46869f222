"""Live HTML in Chromium, under a strict Content-Security-Policy with Trusted Types, beside htmx.

Long, because its tests share one server.
"""

from __future__ import annotations

import asyncio
import uuid
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from playwright.async_api import expect


@pytest.fixture(scope="module")
def site(start_site, tmp_path_factory):
    site = start_site("daphne", DJANGO_SETTINGS_MODULE="tests.settings.live_html")
    site.manage("migrate", "--run-syncdb", "--verbosity", "0")
    return site


@pytest.fixture
def do(site):
    """`await do("7/save/3/")`: ask the server to do something, and return what it answers."""

    def _do(path, **query):
        with urlopen(f"{site.url}/{path}?{urlencode(query)}", timeout=20) as answer:
            return answer.read().decode()

    return lambda path, **query: asyncio.to_thread(_do, path, **query)


@pytest.fixture
async def pk(do):
    """The key of a product of this test."""
    return await do(f"add/{uuid.uuid4().hex[:8]}/")


@pytest.fixture
async def open_product(open_page, site, pk):
    """`await open_product()`: the page of the product, connected. Its console stays silent."""
    printed = []

    async def _open(query="", user="alice", waits=True):
        page = await open_page(f"{site.url}/enter/{user}/")
        page.on("console", lambda message: printed.append(message.text))
        await page.goto(f"{site.url}/{pk}/{query}")
        if waits:
            await until(page, JOINED.format(pk=pk))
        return page

    _open.printed = printed
    yield _open
    assert printed == []


JOINED = "realtime.room('stock/{pk}').joined && realtime.room('stock').joined"


async def until(page, expression):
    """Playwright's own way evaluates a text in the page, which the policy forbids."""
    async with asyncio.timeout(30):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.02)


def stock(page):
    return page.locator("#product strong")


async def test_a_saved_row_is_shown(open_product, do, pk):
    page = await open_product()
    await expect(stock(page)).to_have_text("1")
    await do(f"{pk}/save/2/")
    await expect(stock(page)).to_have_text("2")
    assert await page.locator("#product").get_attribute("class") == "product"
    assert await page.locator("#product").get_attribute("aria-live") == "polite"


async def test_rows_of_a_list_come_change_and_go(open_product, do, pk):
    page = await open_product()
    rows = page.locator("#rows tr")
    before = await rows.count()
    other = await do("add/Spoon/")
    await expect(rows).to_have_count(before + 1)
    await expect(rows.last).to_have_text("Spoon1")
    await do(f"{other}/save/5/")
    await expect(rows.last).to_have_text("Spoon5")
    await do(f"{other}/delete/")
    await expect(rows).to_have_count(before)
    await do(f"{pk}/delete/")
    await expect(page.locator("#product")).to_have_count(0)
    await expect(rows).to_have_count(before - 1)


async def test_what_is_typed_focused_opened_and_scrolled_stays(open_product, do, pk):
    page = await open_product()
    await page.get_by_label("Note").fill("please wrap it")
    await page.get_by_label("Gift").check()
    await page.get_by_text("More").click()
    await page.locator("#log").evaluate(
        "(log) => { log.style.cssText = 'height: 60px; overflow: auto'; log.scrollTop = 90;"
        " log.dataset.realtimeKeep = ''; }"
    )
    amount = page.get_by_label("Amount")
    await amount.fill("12345")
    await amount.evaluate("(field) => field.setSelectionRange(1, 3)")
    await do(f"{pk}/save/8/")
    await expect(stock(page)).to_have_text("8")
    await expect(amount).to_be_focused()
    await expect(amount).to_have_value("12345")
    assert await amount.evaluate("(field) => [field.selectionStart, field.selectionEnd]") == [1, 3]
    await expect(page.get_by_label("Note")).to_have_value("please wrap it")
    await expect(page.get_by_label("Gift")).to_be_checked()
    assert await page.locator("details").evaluate("(details) => details.open")
    assert await page.locator("#log").evaluate("(log) => log.scrollTop") == 90


async def test_a_field_that_nobody_touched_follows_the_server(open_product, do, pk):
    page = await open_product()
    await do(f"{pk}/save/8/")
    await expect(page.get_by_label("Amount")).to_have_value("8")


async def test_the_focus_stays_while_rows_around_it_move(open_product, do, pk):
    page = await open_product()
    names = ["a", "b", "c"]
    fields = [f'<p><label>{name} <input name="{name}"></label></p>' for name in names]
    await do(f"{pk}/show/update/", target="word", html="".join(fields))
    field = page.get_by_label("b", exact=True)
    await field.fill("typed")
    await page.evaluate("window.blurred = 0; addEventListener('blur', () => blurred++, true)")
    await do(f"{pk}/show/update/", target="word", html="<hr>" + "".join(reversed(fields)))
    await expect(page.locator("#word label")).to_have_text(["c ", "b ", "a "])
    await expect(field).to_be_focused()
    await expect(field).to_have_value("typed")
    assert await page.evaluate("blurred") == 0


ACTIONS = [
    ("append", '<i id="new1">new</i>', '<p id="t0">a<i id="new1">new</i></p>'),
    ("prepend", '<i id="new2">new</i>', '<p id="t1"><i id="new2">new</i>a</p>'),
    ("before", "<i>new</i>", '<i>new</i><p id="t2">a</p>'),
    ("after", "<i>new</i>", '<p id="t3">a</p><i>new</i>'),
    ("replace", '<b id="t4">new</b>', '<b id="t4">new</b>'),
    ("replace", '<p id="t5" title="x">new</p>', '<p id="t5" title="x">new</p>'),
    ("update", "<i>new</i>", '<p id="t6"><i>new</i></p>'),
    ("remove", "", ""),
]


async def test_actions_on_a_target(open_product, do, pk):
    page = await open_product()
    targets = "".join(f'<p id="t{number}">a</p>' for number in range(len(ACTIONS)))
    await do(f"{pk}/show/update/", target="later", html=targets)
    for number, (action, html, _) in enumerate(ACTIONS):
        await do(f"{pk}/show/{action}/", target=f"t{number}", html=html)
    await expect(page.locator("#t7")).to_have_count(0)
    shown = await page.locator("#later").inner_html()
    assert shown.replace("\n", "") == "".join(expected for _, _, expected in ACTIONS)


async def test_what_is_added_twice_is_there_once(open_product, do, pk):
    page = await open_product()
    for text in ("one", "two"):
        html = f'<i id="new">{text}</i>'
        await do(f"{pk}/show/append/", target="word", html=html)
    await expect(page.locator("#word i")).to_have_text(["two"])


async def test_scripts_in_fragments_do_not_run(open_product, do, pk):
    page = await open_product()
    html = "<script>window.ran = 1</script><b>shown</b>"
    await do(f"{pk}/show/update/", target="word", html=html)
    await expect(page.locator("#word b")).to_have_text("shown")
    assert await page.evaluate(
        "[window.ran, document.querySelectorAll('#word script').length]"
    ) == [
        None,
        0,
    ]


async def test_what_a_client_publishes_is_never_html(open_product, do, pk):
    page = await open_product()
    data = '{action: "update", target: "word", html: "forged", tags: {realtime: "html"}}'
    await page.evaluate(f"realtime.room('stock/{pk}').publish({data})")
    await do(f"{pk}/forge/")
    await do(f"{pk}/save/4/")
    await expect(stock(page)).to_have_text("4")
    await expect(page.locator("#word")).to_have_text("a word")


async def test_a_change_between_reading_and_subscribing_is_shown(open_product, do, pk):
    page = await open_product("?meanwhile=6")
    await expect(stock(page)).to_have_text("6")


async def test_what_was_missed_offline_is_shown(open_product, do, pk):
    page = await open_product()
    await page.context.set_offline(True)
    await until(page, "realtime.state !== 'connected'")
    other = await do("add/Fork/")
    await do(f"{pk}/save/3/")
    await page.context.set_offline(False)
    await expect(stock(page)).to_have_text("3")
    await expect(page.locator(f"#row-{other}")).to_have_count(1)
    await do(f"{other}/delete/")
    open_product.printed.clear()  # the browser reports the failed connections of its own accord


async def test_what_can_not_be_recovered_is_loaded_again(open_product, do, pk):
    page = await open_product()
    await page.get_by_label("Note").fill("kept")
    await page.context.set_offline(True)
    await until(page, "realtime.state !== 'connected'")
    await do(f"{pk}/forget/")
    await page.context.set_offline(False)
    await expect(stock(page)).to_have_text("77")
    await expect(page.get_by_label("Note")).to_have_value("kept")
    await do(f"{pk}/save/78/")
    await expect(stock(page)).to_have_text("78")
    open_product.printed.clear()


@pytest.mark.parametrize("failure", ["network", "server"])
async def test_a_page_that_can_not_be_loaded_again_is_loaded_later(open_product, do, pk, failure):
    page = await open_product()
    failed = asyncio.Event()

    async def fail_once(route):
        if failed.is_set():
            return await route.continue_()
        failed.set()
        return await (route.abort() if failure == "network" else route.fulfill(status=502))

    await page.route(f"**/{pk}/", fail_once)
    await page.context.set_offline(True)
    await until(page, "realtime.state !== 'connected'")
    await do(f"{pk}/forget/")
    await page.context.set_offline(False)
    async with asyncio.timeout(30):
        await failed.wait()
    await expect(stock(page)).to_have_text("77", timeout=30_000)
    open_product.printed.clear()


async def test_htmx_works_in_what_was_swapped_and_swaps_in_live_elements(open_product, do, pk):
    page = await open_product("?htmx=1")
    await do(f"{pk}/save/2/")
    await expect(stock(page)).to_have_text("2")
    await page.get_by_role("button", name="Load").click()
    late = page.locator(".late strong")
    await expect(late).to_have_text("2")
    await do(f"{pk}/save/3/")
    await expect(late).to_have_text("3")
    await expect(stock(page)).to_have_text("3")
    await do(
        f"{pk}/show/update/",
        target="word",
        html=f'<button hx-get="/{pk}/part/" hx-target="#word">Swapped</button>',
    )
    await page.get_by_role("button", name="Swapped").click()
    await expect(page.locator("#word strong")).to_have_text("3")
    await page.evaluate(
        "document.querySelectorAll('[data-realtime-room]').forEach((it) => it.remove())"
    )
    await until(page, "!realtime.room('stock').joined")


async def test_pages_hear_of_swaps_and_can_prevent_them(open_product, do, pk):
    page = await open_product()
    await page.evaluate(
        """() => {
            window.heard = [];
            addEventListener('realtime:before-swap', (event) => {
                heard.push([event.target.id, event.detail.action]);
                if (event.target.id === 'word') event.preventDefault();
            });
            addEventListener('realtime:after-swap', ({ target }) => heard.push(target.id));
        }"""
    )
    await do(f"{pk}/show/update/", target="word", html="prevented")
    await do(f"{pk}/show/update/", target="later", html="shown")
    await expect(page.locator("#later")).to_have_text("shown")
    await expect(page.locator("#word")).to_have_text("a word")
    assert await page.evaluate("heard") == [["word", "update"], ["later", "update"], "later"]


async def test_a_form_in_a_fragment_has_the_token_of_the_page(open_product, do, pk):
    page = await open_product()
    tokens = "[...document.querySelectorAll('[name=csrfmiddlewaretoken]')].map((it) => it.value)"
    before = await page.evaluate(tokens)
    await do(f"{pk}/save/2/")
    await expect(stock(page)).to_have_text("2")
    assert await page.evaluate(tokens) == before
    await do(
        f"{pk}/show/update/",
        target="word",
        html='<form><input type="hidden" name="csrfmiddlewaretoken" value=""><b>new</b></form>',
    )
    await expect(page.locator("#word b")).to_be_attached()
    assert all(await page.evaluate(tokens))


async def test_a_visitor_who_may_not_enter_sees_the_page_as_it_was(open_product, do, pk):
    page = await open_product(user="carol", waits=False)
    async with asyncio.timeout(20):
        while not any(f"explain carol stock/{pk} join" in text for text in open_product.printed):
            await asyncio.sleep(0.05)
    await do(f"{pk}/save/2/")
    await expect(stock(page)).to_have_text("1")
    open_product.printed.clear()
