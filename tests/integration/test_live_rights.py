"""What an administrator saves in the admin shows on open pages: people on one process, the admin
on another."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.support.browsers import enter, fill_in, messages, people, picture, say, show, sockets

PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def site(start_site):
    """The process that users are connected to."""
    return start_site("uvicorn", redis=True)


@pytest.fixture(scope="module")
def office(start_site, site):
    """The process of the administrator."""
    return start_site("daphne", beside=site)


def composer(page):
    return page.get_by_label("Message", exact=True)


def rooms(page):
    return page.get_by_role("navigation").get_by_role("button")


async def open_form(admin, office, path, name):
    """The form of the user or room `name`."""
    await admin.goto(f"{office.url}/admin/{path}/?q={name}")
    await admin.get_by_role("link", name=name, exact=True).click()


async def save(admin):
    await admin.get_by_role("button", name="Save and continue editing").last.click()
    await expect(admin.get_by_text("was changed successfully")).to_be_visible()


OPEN_A_SOCKET = "(url) => new Promise((done) => { new WebSocket(url).onerror = done; })"


async def test_a_deactivated_user_is_notified_and_the_page_stops(
    site, office, open_page, open_admin
):
    bob = await open_page(site.url)
    await bob.clock.install()
    await fill_in(bob, "bob")
    await enter(bob, "Lobby")
    await expect(people(bob)).to_have_text(["bob (you)"])
    admin = await open_admin(office)
    await open_form(admin, office, "auth/user", "bob")
    await admin.get_by_label("Active").uncheck()
    await save(admin)
    await expect(bob.get_by_role("alert")).to_contain_text("Your sign-in is no longer valid.")
    await expect(bob.get_by_role("heading", name="Sign in")).to_be_visible()
    await picture(bob, "deactivated")
    requests = []
    bob.on("request", lambda request: requests.append(request.url))
    await bob.clock.run_for(120_000)
    await bob.context.set_offline(True)
    await bob.context.set_offline(False)
    await bob.clock.run_for(120_000)
    # A connection that the page had opened before would come before the one that is opened now.
    await bob.evaluate(OPEN_A_SOCKET, site.ws_url + "of-the-test")
    assert [socket.url for socket in sockets(bob)] == [site.ws_url, site.ws_url + "of-the-test"]
    assert requests == []
    await fill_in(bob, "bob")
    await expect(bob.get_by_role("alert")).to_contain_text("name and password don’t fit")


async def test_a_room_appears_and_goes_as_the_group_of_the_user_changes(
    office, sign_in, open_admin
):
    alice, carol = await sign_in("alice"), await sign_in("carol", color_scheme="dark")
    await enter(alice, "Staff")
    await enter(carol, "Lobby")
    await expect(rooms(carol).filter(has_text="Lobby")).to_be_focused()
    await expect(rooms(carol)).to_contain_text(["Announcements", "Lobby"])
    admin = await open_admin(office)
    await open_form(admin, office, "auth/user", "carol")
    await admin.locator("#id_groups_from").select_option(label="Staff")
    await admin.get_by_role("button", name="Choose selected groups").click()
    await save(admin)

    await expect(rooms(carol)).to_contain_text(["Announcements", "Lobby", "Staff"])
    await expect(rooms(carol).filter(has_text="Lobby")).to_be_focused()
    await picture(carol, "room-appears-dark")
    await enter(carol, "Staff")
    await say(carol, "Hello, I am new here.")
    await expect(messages(alice)).to_contain_text("I am new here.")
    await say(alice, "Welcome!")
    await expect(messages(carol)).to_contain_text("Welcome!")

    await composer(carol).focus()
    await carol.keyboard.type("Could somebody")
    await admin.locator("#id_groups_to").select_option(label="Staff")
    await admin.get_by_role("button", name="Remove selected groups").click()
    await save(admin)
    await expect(messages(carol)).to_contain_text("You may not be in this room any more.")
    await expect(carol.get_by_text("This room is closed to you now.")).to_be_visible()
    await expect(composer(carol)).to_be_disabled()
    await expect(composer(carol)).to_be_focused()
    await expect(rooms(carol).filter(has_text="Staff")).to_have_class("lost")
    await picture(carol, "room-lost-dark")
    await say(alice, "Is she gone?")
    await expect(messages(alice)).to_contain_text("Is she gone?")
    await enter(alice, "Lobby")
    await say(alice, "Lunch?")
    await expect(rooms(carol).get_by_label("1 unread")).to_be_visible()
    assert "Is she gone?" not in await carol.get_by_label("Frames").text_content()
    await carol.get_by_role("button", name="Close", exact=True).click()
    await expect(rooms(carol)).to_contain_text(["Announcements", "Lobby"])
    await expect(rooms(carol).filter(has_text="Lobby")).to_be_focused()
    await expect(messages(carol)).to_contain_text("Lunch?")
    assert len(sockets(carol)) == 1


async def test_a_muted_user_is_notified_on_the_same_socket(office, sign_in, open_admin):
    carol = await sign_in("carol", viewport=PHONE)
    await enter(carol, "Lobby")
    await say(carol, "What I think is this:")
    await expect(messages(carol)).to_contain_text("What I think")
    admin = await open_admin(office)
    await open_form(admin, office, "realtime/room", "lobby")
    await admin.get_by_text("Add another Membership").click()
    await admin.locator("#memberships-0 .select2-selection").click()
    await admin.keyboard.type("carol")
    await admin.get_by_role("option", name="carol").click()
    await admin.locator("#id_memberships-0-muted").check()
    await composer(carol).focus()
    await carol.keyboard.type("It is")
    await save(admin)

    await expect(composer(carol)).to_be_disabled()
    await expect(carol.get_by_text("An administrator has switched writing off")).to_be_visible()
    await expect(messages(carol)).to_contain_text("You can’t write here any more.")
    await picture(carol, "muted-phone")
    await carol.keyboard.press("Enter")
    await admin.locator("#id_memberships-0-muted").uncheck()
    await save(admin)
    await expect(composer(carol)).to_be_enabled()
    await expect(carol.get_by_text("An administrator has switched writing off")).to_be_hidden()
    await carol.keyboard.type(" enough")
    await carol.keyboard.press("Enter")
    await expect(messages(carol).locator(".said")).to_have_text(
        ["What I think is this:", "It is enough"]
    )
    assert len(sockets(carol)) == 1


async def test_changes_during_a_network_failure_show_after_it(site, sign_in):
    alice = await sign_in("alice")
    await enter(alice, "Lobby")
    await expect(people(alice)).to_contain_text(["alice (you)"])
    await alice.context.set_offline(True)
    await expect(alice.locator("#connection")).to_have_text("Connecting …")
    site.shell(
        "from django.contrib.auth.models import User; from realtime.models import Room; "
        "room = Room.objects.create(name='desk', title='Desk'); "
        "room.memberships.create(user=User.objects.get(username='alice'))"
    )
    await alice.context.set_offline(False)
    await enter(alice, "Desk")
    await say(alice, "So this is it.")
    await expect(messages(alice)).to_contain_text("So this is it.")


HOSTILE = "<img src=x onerror=alert(1)> The site is read-only\nfrom 18:00 on."
SPEAK = f"""
from django.contrib.auth.models import User
from realtime import notify, unsubscribe
alice = User.objects.get(username="alice")
notify({HOSTILE!r}, user=alice)
notify("Please keep to the topic. " * 12, user=alice)
unsubscribe("lobby", user=alice, reason="the room is cleaned")
"""


async def test_notices_and_actions_of_an_administrator_reach_one_person(site, sign_in):
    alice, bob = await sign_in("alice", viewport=PHONE), await sign_in("carol")
    for page in (alice, bob):
        await enter(page, "Lobby")
        await expect(composer(page)).to_be_enabled()
    await composer(alice).focus()
    async with alice.expect_response("**/realtime/rooms/"):
        site.shell(SPEAK)
    # Whose right stays, stays out until they want to be in again.
    await expect(messages(alice)).to_contain_text("taken out of the room: the room is cleaned.")
    await expect(alice.get_by_text("Enter it to take part.")).to_be_visible()
    await expect(composer(alice)).to_be_disabled()
    notices = alice.get_by_role("status", name="Notices")
    await expect(notices.locator("span").last).to_have_text(HOSTILE, use_inner_text=True)
    await picture(alice, "notices-phone")
    await alice.set_viewport_size({"width": 1280, "height": 760})
    await alice.emulate_media(color_scheme="dark")
    await picture(alice, "notices-dark")
    dismiss = notices.get_by_role("button", name="Dismiss")
    await dismiss.first.focus()
    await alice.keyboard.press("Enter")
    await expect(dismiss).to_have_count(1)
    await expect(dismiss).to_be_focused()
    await alice.keyboard.press("Enter")
    await expect(notices).to_have_text("")
    await expect(composer(alice)).to_be_focused()
    await alice.get_by_role("button", name="Enter").click()
    await expect(composer(alice)).to_be_enabled()
    entered = alice.get_by_label("Frames").locator("li.out").filter(has_text='"channel":"lobby"')
    await expect(entered.filter(has_text="subscribe")).to_have_count(2)
    await expect(bob.get_by_role("status", name="Notices")).to_have_text("")
    await expect(messages(bob)).not_to_contain_text("taken out")


async def test_a_user_who_left_a_room_stays_out_when_it_opens_again(office, sign_in, open_admin):
    alice = await sign_in("alice")
    await enter(alice, "Announcements")
    await alice.get_by_role("button", name="Leave").click()
    admin = await open_admin(office)
    await open_form(admin, office, "realtime/room", "announcements")
    await admin.get_by_label("Archived").check()
    await save(admin)
    await expect(alice.get_by_text("This room is closed to you now.")).to_be_visible()
    await enter(alice, "Lobby")
    await expect(rooms(alice).filter(has_text="Announcements")).to_have_count(0)
    await admin.get_by_label("Archived").uncheck()
    await save(admin)
    await show(alice, "Announcements")
    await expect(alice.get_by_text("You are not in the room.")).to_be_visible()
    frames = alice.get_by_label("Frames").locator("li.out")
    entered = frames.filter(has_text='"subscribe":{"channel":"announcements"')
    await expect(entered).to_have_count(1)


LIST_ROOMS = """async () => {
    const { Listing } = await import("/static/realtime/playground/listing.js");
    const asked = [], taken = [];
    const listing = new Listing({
        ask: () => new Promise((answer) => asked.push(answer)),
        onRooms: (rooms) => taken.push(rooms),
    });
    const until = async (count) => {
        while (asked.length < count) await new Promise(requestAnimationFrame);
    };
    const done = listing.refresh();
    await until(1);
    for (let change = 0; change < 5; change += 1) listing.refresh();
    asked[0]("as it was before the changes");
    await until(2);
    asked[1]("as it is");
    await done;
    const stopped = listing.refresh();
    await until(3);
    listing.stop();
    asked[2]("too late");
    await stopped;
    return [asked.length, taken];
}"""


async def test_many_changes_are_asked_for_once(site, open_page):
    page = await open_page(site.url)
    assert await page.evaluate(LIST_ROOMS) == [3, ["as it is"]]


FAIL_ONCE = """async () => {
    const { Listing } = await import("/static/realtime/playground/listing.js");
    globalThis.seen = [];
    new Listing({
        ask: async () => {
            if (!seen.length) throw new Error("away");
            return "rooms";
        },
        onRooms: (rooms) => seen.push(rooms),
        onError: (error) => seen.push(error.message),
    }).refresh();
}"""


async def test_a_failed_request_is_repeated(site, open_page):
    page = await open_page(site.url)
    await page.clock.install()
    await page.evaluate(FAIL_ONCE)
    await page.clock.run_for(20_000)
    assert await page.evaluate("seen") == ["away", "rooms"]
