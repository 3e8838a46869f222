"""The shop of `docs/examples`: as it was, and made live by a diff of less than 50 lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from playwright.async_api import expect

from tests.support import processes
from tests.support.browsers import picture

SHOP = processes.ROOT / "docs" / "examples" / "shop"
PASSWORD = "cups-and-saucers"
ROWS = f"""
from shop.models import Customer, Order, Product
for name in ("Anna", "Ben"):
    Customer.objects.create_user(f"{{name.lower()}}@example.com", "{PASSWORD}", first_name=name)
Customer.objects.create_superuser("sue@example.com", "{PASSWORD}", first_name="Sue")
for name, price, stock in ("Blue cup", "9.90", 3), ("Saucer", "4.50", 12), ("Teapot", "39.00", 1):
    Product.objects.create(name=name, price=price, stock=stock)
ben = Customer.objects.get(first_name="Ben")
Order.objects.create(customer=ben, product=Product.objects.first())
"""
PHONE = {"width": 390, "height": 760}


def changed_lines():
    lines = (SHOP / "live.diff").read_text().splitlines()
    return [line for line in lines if re.match(r"[+-](?!\+\+ |-- )", line)]


def test_the_diff_has_less_than_50_lines_and_no_script():
    assert 0 < len(changed_lines()) < 50
    assert not any("<script" in line or ".js" in line for line in changed_lines())


def manage(folder, *words):
    env = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{processes.ROOT}",
        "DJANGO_SETTINGS_MODULE": "website.settings",
    }
    command = [sys.executable, folder / "manage.py", *words]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True)


def test_the_shop_before_is_a_plain_django_site():
    assert "no issues" in manage(SHOP / "before", "check").stdout
    for path in (SHOP / "before").rglob("*"):
        assert not path.is_file() or b"realtime" not in path.read_bytes() or path.suffix == ".pyc"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The address of the shop, after the diff."""
    folder = tmp_path_factory.mktemp("shops") / "shop"
    shutil.copytree(SHOP / "before", folder, ignore=shutil.ignore_patterns("*.sqlite3*"))
    # Outside of a repository, `git apply` is `patch`.
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    subprocess.run(["git", "apply", SHOP / "live.diff"], cwd=folder, env=env, check=True)
    manage(folder, "migrate", "--verbosity", "0")
    manage(folder, "shell", "--verbosity", "0", "-c", ROWS)
    site = processes.start_site(
        "runserver",
        folder,
        {"DJANGO_SETTINGS_MODULE": "website.settings", "PYTHONPATH": str(folder)},
    )
    yield site.url
    site.process.kill()
    assert "Traceback" not in site.process.log.read_text()


@pytest.fixture
async def open_shop(open_page, shop):
    """`await open_shop("anna", "orders/")`: a page of the shop after signing in, by keyboard. Its
    console stays silent."""
    printed = []

    async def _open(name, path="", **options):
        page = await open_page(f"{shop}/login/?next=/{path}", **options)
        if not path.startswith("admin"):
            page.on("console", lambda message: printed.append(message.text))
        await page.get_by_label("Email").focus()
        await page.keyboard.type(f"{name}@example.com")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in")
        if not path.startswith("admin"):
            await expect(page.locator("[data-realtime-room]")).to_have_count(1)
        return page

    _open.printed = printed
    yield _open
    assert printed == []


async def test_the_stock_changes_on_all_pages_when_somebody_buys(open_shop):
    anna = await open_shop("anna", viewport=PHONE)
    ben = await open_shop("ben", color_scheme="dark")
    await expect(anna.locator("#stock-3")).to_have_text("1 in stock")
    await ben.get_by_role("button", name="Buy Teapot").focus()
    await ben.keyboard.press("Enter")
    await expect(ben.get_by_role("listitem").first).to_contain_text("Teapot")
    await expect(anna.locator("#stock-3")).to_have_text("sold out")
    await picture(anna, "shop-products-phone")
    await picture(ben, "shop-orders-dark")


async def test_orders_come_and_change_on_the_customers_page(open_shop, shop):
    ben = await open_shop("ben", "orders/")
    orders = ben.get_by_role("main").get_by_role("listitem")
    before = await orders.count()
    other_tab = await ben.context.new_page()
    await other_tab.goto(shop)
    await other_tab.get_by_role("button", name="Buy Saucer").click()
    await expect(orders).to_have_count(before + 1)
    await expect(orders.first).to_contain_text("Saucer")
    sue = await open_shop("sue", "admin/shop/order/")
    await sue.locator("[name=form-0-status]").select_option("sent")
    await sue.get_by_role("button", name="Save").click()
    await expect(orders.first.locator("b")).to_have_text("on its way")
    await picture(ben, "shop-orders")


async def test_a_customer_and_the_support_talk_by_keyboard(open_shop):
    anna = await open_shop("anna", "support/", viewport=PHONE)
    sue = await open_shop("sue", "support/1/")
    for page in (anna, sue):
        await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await anna.keyboard.type("Is the teapot coming back?")
    await anna.keyboard.press("Enter")
    talk = sue.get_by_role("list", name="Messages").get_by_role("listitem")
    await expect(talk).to_have_count(1)
    await expect(talk).to_contain_text("Is the teapot coming back?")
    await expect(anna.get_by_label("Message", exact=True)).to_be_focused()
    await anna.keyboard.type("And the")
    await sue.keyboard.type("On Friday, <Anna>.")
    await sue.keyboard.press("Enter")
    answer = anna.locator("#talk li.staff")
    await expect(answer).to_contain_text("On Friday, <Anna>.")
    await expect(anna.get_by_label("Message", exact=True)).to_have_value("And the")
    await anna.keyboard.type(" cups?")
    await anna.keyboard.press("Enter")
    await expect(talk).to_have_count(3)
    await expect(talk.last).to_contain_text("And the cups?")
    await picture(anna, "shop-support-phone")
    await picture(sue, "shop-support")


async def test_another_customer_hears_nothing(open_shop):
    ben = await open_shop("ben", "support/", viewport=PHONE)
    await ben.evaluate(
        "window.refused = new Promise((done) => realtime.room('customers/1/support')"
        ".on('refused', ({ code }) => done(code)))"
    )
    assert await ben.evaluate("refused") == 103
    open_shop.printed.clear()  # the advice for developers
