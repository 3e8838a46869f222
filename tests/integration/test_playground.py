"""The playground in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support import processes
from tests.support.browsers import enter, messages, people, picture, say

SERVERS = ["daphne", "uvicorn", "uvicorn-fast"]


@pytest.fixture(scope="module", params=["daphne"])
def site(request, shared_site):
    """The page is the same on each server."""
    return shared_site(request.param)


@pytest.mark.parametrize("site", SERVERS, indirect=True)
async def test_alice_and_bob_talk_in_two_windows(sign_in):
    alice, bob = await sign_in("alice"), await sign_in("bob", color_scheme="dark")
    for page in (alice, bob):
        await expect(page.locator("#connection")).to_have_text("Connected")
        await enter(page, "Lobby")
    await say(alice, "Hello Bob, is the release out?")
    await expect(messages(bob)).to_contain_text("Hello Bob")
    await say(bob, "Just now. Every socket kept its place.")
    await expect(messages(alice)).to_contain_text("Every socket")
    await expect(messages(alice).locator("li.mine")).to_contain_text("Hello Bob")
    await expect(messages(bob).locator("li.mine")).to_contain_text("Just now")
    await say(alice, "Then I'll tell the others.")
    await expect(messages(bob)).to_contain_text("tell the others")
    await picture(alice, "alice")
    await picture(bob, "bob-dark")


async def test_the_tools_show_frames_rights_history_and_a_diagnosis(sign_in):
    alice = await sign_in("alice", viewport={"width": 1440, "height": 1400})
    await enter(alice, "Lobby")
    await say(alice, "For the history")
    await expect(messages(alice)).to_contain_text("For the history")
    for name in ("On the wire", "What I may do here", "History", "Diagnosis"):
        await alice.get_by_text(name, exact=True).click()
    frames = alice.get_by_label("Frames")
    await expect(frames).to_contain_text('"connect":{}')  # the session is in the cookie
    await expect(frames).to_contain_text('"subscribe":{')
    tools = alice.get_by_role("complementary", name="Tools")
    await expect(tools.get_by_text("alice may join lobby")).to_be_visible()
    await expect(tools.get_by_text("alice may not moderate lobby")).to_be_visible()
    await tools.get_by_text("alice may publish in lobby").click()
    await expect(tools.get_by_text("alice, id 1, may sign in").nth(1)).to_be_visible()
    await expect(tools.locator(".kept li").first).to_contain_text("For the history")
    await expect(tools.get_by_text("Nothing is wrong.")).to_be_visible()
    await expect(tools.locator("#diagnosis")).to_contain_text("useralice")
    await picture(alice, "tools")
    await enter(alice, "Staff")
    await expect(tools.get_by_text("alice may join staff")).to_be_visible()
    await alice.emulate_media(color_scheme="dark")
    await alice.set_viewport_size({"width": 390, "height": 2400})
    await picture(alice, "tools-phone-dark")


async def test_a_room_is_opened_by_its_name(sign_in):
    carol = await sign_in("carol")
    await enter(carol, "Lobby")
    await carol.get_by_label("A room by its name").fill("staff")
    await carol.keyboard.press("Enter")
    await expect(messages(carol)).to_have_text("You may not enter this room.")
    tools = carol.get_by_role("complementary", name="Tools")
    await expect(tools.get_by_text("carol may not join staff")).to_be_visible()
    await expect(carol.get_by_text("This room is not open to you")).to_be_visible()
    await picture(carol, "refused")
    await carol.get_by_label("A room by its name").fill("_user/3")
    await carol.get_by_role("button", name="Open", exact=True).click()
    await expect(messages(carol)).to_contain_text("You are in the room.")
    await expect(tools.get_by_text("carol may not publish in _user/3")).to_be_visible()
    await expect(carol.locator("#rooms button")).to_have_text(["_user/3", "Announcements", "Lobby"])


async def test_json_is_published_as_it_is(sign_in):
    alice, bob = await sign_in("alice"), await sign_in("bob")
    for page in (alice, bob):
        await enter(page, "Lobby")
    await alice.get_by_label("JSON").check()
    await say(alice, '{"status": ')
    await expect(alice.get_by_role("alert")).to_contain_text("That is no JSON")
    await say(alice, '{"status": "paid"}')
    await expect(messages(bob).locator(".json").last).to_have_text('{ "status": "paid" }')


async def test_carol_sees_no_staff_room(sign_in):
    carol = await sign_in("carol", viewport={"width": 390, "height": 800})
    rooms = carol.locator("#rooms button")
    await expect(rooms).to_have_text(["Announcements", "Lobby"])
    await picture(carol, "carol-phone")


async def test_a_reader_sees_that_writing_is_not_allowed(sign_in):
    carol, bob = await sign_in("carol"), await sign_in("bob")
    for page in (carol, bob):
        await enter(page, "Announcements")
    await expect(carol.get_by_text("You can read here.")).to_be_visible()
    await expect(carol.get_by_label("Message", exact=True)).to_be_disabled()
    await say(bob, "Lunch is ready.")
    await expect(messages(carol)).to_contain_text("Lunch is ready.")


async def test_messages_of_other_rooms_are_counted(sign_in):
    alice, bob = await sign_in("alice"), await sign_in("bob")
    await enter(alice, "Lobby")
    await enter(bob, "Staff")
    await say(bob, "Only for us.")
    await expect(alice.get_by_label("1 unread")).to_be_visible()


async def test_errors_are_sentences(sign_in):
    page = await sign_in("alice", "wrong")
    await expect(page.get_by_role("alert")).to_have_text(
        "That name and password don’t fit together."
    )
    await picture(page, "sign-in")


async def test_signing_out_ends_the_connection(sign_in):
    alice = await sign_in("alice")
    await expect(alice.locator("#connection")).to_have_text("Connected")
    await alice.get_by_role("button", name="Sign out").click()
    await expect(alice.get_by_role("heading", name="Sign in")).to_be_visible()
    await alice.reload()
    await expect(alice.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_reload_keeps_the_sign_in(sign_in):
    alice = await sign_in("alice")
    await expect(alice.locator("#connection")).to_have_text("Connected")
    await alice.reload()
    await expect(alice.locator("#connection")).to_have_text("Connected")


async def test_everything_works_by_keyboard(sign_in):
    alice = await sign_in("alice")
    await expect(alice.locator("#connection")).to_have_text("Connected")
    lobby = alice.get_by_role("navigation").get_by_role("button", name="Lobby")
    await lobby.focus()
    await alice.keyboard.press("Enter")
    await expect(alice.locator("#room-title")).to_have_text("Lobby")
    await expect(lobby).to_be_focused()
    await expect(alice.get_by_label("Message", exact=True)).to_be_enabled()
    for _ in range(10):
        if await alice.evaluate("document.activeElement.id") == "text":
            break
        await alice.keyboard.press("Tab")
    await alice.keyboard.type("by keyboard")
    await alice.keyboard.press("Enter")
    await expect(messages(alice)).to_contain_text("by keyboard")


HOSTILE = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "{{7*7}}"]


async def test_user_input_is_shown_as_text_everywhere(start_site, sign_in_at, open_admin):
    site = start_site("daphne")
    code = (
        "from realtime.models import Room; from django.contrib.auth.models import User; "
        "User.objects.filter(username='bob').update(first_name='<img src=x onerror=alert(2)>'); "
        f"[Room.objects.create(name=f'hostile-{{i}}', title=t, access='authenticated') "
        f"for i, t in enumerate({HOSTILE!r})]"
    )
    site.shell(code)
    alice = await sign_in_at(site, "alice")
    bob = await sign_in_at(site, "bob")
    for title in HOSTILE:
        await enter(alice, title)
        await enter(bob, title)
        await say(bob, title)
        await expect(messages(alice).locator(".said")).to_have_text([title])
        await expect(messages(alice)).to_contain_text("<img src=x onerror=alert(2)>")
    admin = await open_admin(site)
    await admin.get_by_role("link", name="Rooms", exact=True).first.click()
    for title in HOSTILE:
        await expect(admin.get_by_role("cell", name=title, exact=True)).to_be_visible()
    await picture(admin, "admin-rooms")
    await admin.get_by_role("link", name="lobby").first.click()
    await expect(admin.get_by_role("heading", name="Change room")).to_be_visible()
    await picture(admin, "admin-room")


async def test_the_page_comes_back_when_the_server_does(start_site, sign_in_at, tmp_path):
    site = start_site("daphne")
    alice = await sign_in_at(site, "alice")
    await expect(alice.locator("#connection")).to_have_text("Connected")
    site.process.stop()
    await expect(alice.get_by_role("alert")).to_contain_text("The connection was lost.")
    await picture(alice, "away")
    command = processes.SERVERS["daphne"](site.port, "config.asgi:application")
    again = processes.start(command, tmp_path / "again.log", site.port, site.env)
    try:
        await expect(alice.locator("#connection")).to_have_text("Connected", timeout=30_000)
        await enter(alice, "Lobby")
        await say(alice, "back")
        await expect(messages(alice)).to_contain_text("back")
    finally:
        again.stop()


async def test_the_picture_of_the_readme(sign_in):
    """Set REALTIME_README_PICTURE=docs/images/playground.png to write the picture."""
    wanted = os.environ.get("REALTIME_README_PICTURE")
    if not wanted:
        pytest.skip("no picture is asked for")
    alice, bob = await sign_in("alice"), await sign_in("bob")
    for page in (alice, bob):
        await enter(page, "Lobby")
    await say(alice, "Hello Bob, is the release out?")
    await expect(messages(bob)).to_contain_text("Hello Bob")
    await say(bob, "Just now. Every socket kept its place.")
    await expect(messages(alice)).to_contain_text("Every socket")
    await say(alice, "Then I'll tell the others.")
    await expect(messages(alice)).to_contain_text("tell the others")
    await alice.get_by_text("On the wire").click()
    Path(wanted).parent.mkdir(parents=True, exist_ok=True)
    await alice.screenshot(path=wanted)


async def test_the_list_of_people_in_the_room(sign_in_at, start_site):
    site = start_site("daphne", DJANGO_SETTINGS_MODULE="tests.settings.brief")
    alice = await sign_in_at(site, "alice")
    await enter(alice, "Lobby")
    await expect(people(alice)).to_have_text(["alice (you)"])
    bob = await sign_in_at(site, "bob")
    await enter(bob, "Lobby")
    await expect(people(alice)).to_have_text(["alice (you)", "bob"])
    await expect(people(bob)).to_have_text(["alice", "bob (you)"])
    await picture(alice, "who-is-here")
    await bob.get_by_role("button", name="Sign out").click()
    await expect(people(alice)).to_have_text(["alice (you)"])
    await alice.get_by_role("button", name="Leave").click()
    await expect(people(alice)).to_have_count(0)


async def test_offline_and_back(sign_in_at, start_site):
    """The network is cut while others talk: what was missed comes in its place."""
    site = start_site("uvicorn", redis=True)
    alice, bob = [await sign_in_at(site, name) for name in ("alice", "bob")]
    for page in (alice, bob):
        await enter(page, "Lobby")
    await say(bob, "Before")
    await expect(messages(alice)).to_contain_text("Before")
    await alice.context.set_offline(True)
    await expect(alice.locator("#connection")).to_have_text("Connecting …")
    await expect(people(alice)).to_have_count(0)
    for text in ("First", "Second", "Third"):
        await say(bob, text)
        await expect(messages(bob)).to_contain_text(text)
    await alice.context.set_offline(False)
    await expect(alice.locator("#connection")).to_have_text("Connected")
    await expect(messages(alice)).to_contain_text("3 messages arrived while you were away")
    await say(bob, "Fourth")
    said = messages(alice).locator(".said")
    await expect(said).to_have_text(["Before", "First", "Second", "Third", "Fourth"])
    await picture(alice, "offline-and-back")


async def test_missed_messages_are_reported(sign_in_at, start_site):
    site = start_site("daphne", redis=True)
    alice, bob = [await sign_in_at(site, name) for name in ("alice", "bob")]
    for page in (alice, bob):
        await enter(page, "Lobby")
    await say(bob, "Before")
    await expect(messages(alice)).to_contain_text("Before")
    await alice.context.set_offline(True)
    await expect(alice.locator("#connection")).to_have_text("Connecting …")
    site.shell(
        "from realtime.models import Room; Room.objects.filter(name='lobby').update(history_size=1)"
    )
    for text in ("First", "Second"):
        await say(bob, text)
        await expect(messages(bob)).to_contain_text(text)
    site.shell(
        "from realtime import publish; publish('lobby', {'text': 'Third'}); "
        "publish('lobby', {'text': 'Fourth'})"
    )
    await expect(messages(bob)).to_contain_text("Fourth")
    await alice.context.set_offline(False)
    await expect(messages(alice)).to_contain_text("Some messages were missed")
    await expect(messages(alice)).not_to_contain_text("Fourth")
    await picture(alice, "missed")
