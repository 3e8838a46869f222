"""A room with 10,000 memberships in the admin, in a browser and by keyboard alone."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.support.browsers import ARTIFACTS

COUNT = 10_000
FILL = f"""
from django.contrib.auth.models import Group, User
from realtime.models import Membership, Room
room = Room.objects.create(name="stadium", title="Stadium")
User.objects.bulk_create(User(username=f"fan-{{i:05}}") for i in range({COUNT}))
fans = User.objects.filter(username__startswith="fan-")
Membership.objects.bulk_create(Membership(room=room, user=fan) for fan in fans)
print(room.pk)
"""
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("daphne")


@pytest.fixture(scope="module")
def room(site):
    return int(site.shell(FILL).splitlines()[-1])


async def go_to(page, locator):
    """Press Tab until the focus is there."""
    for _ in range(120):
        if await locator.evaluate("it => it === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError("it can't be reached")


async def pictures(page, name):
    ARTIFACTS.mkdir(exist_ok=True)
    for look, scheme, size in (
        ("light", "light", DESK),
        ("dark", "dark", DESK),
        ("phone", "light", PHONE),
    ):
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size(size)
        path = ARTIFACTS / f"large-room-{name}-{look}.png"
        await page.screenshot(path=path, full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(DESK)


async def test_a_large_room_is_edited_by_keyboard(site, room, open_admin):
    page = await open_admin(site, f"realtime/room/{room}/change/")
    await expect(page.get_by_text(f"This room has {COUNT} memberships.")).to_be_visible()
    await pictures(page, "room")

    # Somebody is added, and the room is renamed: the form is saved.
    await go_to(page, page.get_by_label("Title:"))
    await page.keyboard.press("Control+A")
    await page.keyboard.type("Great Stadium")
    await go_to(page, page.get_by_text("Add another Membership"))
    await page.keyboard.press("Enter")
    await go_to(page, page.locator(".field-user [role=combobox]").first)
    await page.keyboard.press("Enter")
    await page.keyboard.type("alic")
    await expect(page.get_by_role("option", name="alice")).to_be_visible()
    await page.keyboard.press("Enter")
    await go_to(page, page.get_by_role("button", name="Save and continue editing").last)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("was changed successfully")).to_be_visible()
    await expect(page.get_by_text(f"This room has {COUNT + 1} memberships.")).to_be_visible()

    # One of the many is found and muted.
    await go_to(page, page.get_by_role("link", name="Search and edit them on a page of their own."))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Memberships in Great Stadium")).to_be_visible()
    await expect(page.locator(".paginator")).to_contain_text(f"{COUNT + 1} memberships")
    await pictures(page, "memberships")
    await go_to(page, page.locator("#searchbar"))
    await page.keyboard.type("fan-07777")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("1 result")).to_be_visible()
    await go_to(page, page.get_by_role("link", name="fan-07777"))
    await page.keyboard.press("Enter")
    await go_to(page, page.get_by_label("Muted"))
    await page.keyboard.press("Space")
    await go_to(page, page.get_by_role("button", name="Save", exact=True))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Memberships in Great Stadium")).to_be_visible()
    code = "from realtime.models import Membership as M; print(M.objects.get(muted=True).user)"
    assert await asyncio.to_thread(site.shell, code) == "fan-07777"


async def test_the_list_of_rooms_leads_to_the_memberships(site, room, open_admin):
    page = await open_admin(site, "realtime/room/?q=stadium")
    await go_to(page, page.get_by_role("link", name=re.compile(f"^{COUNT // 1000}00[0-9]+$")))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=re.compile("Memberships in"))).to_be_visible()
