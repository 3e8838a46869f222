"""A user who is saved or deleted in the admin: passwords, sessions, sign-ins."""

import asyncio
import time

import pytest

from config.management.commands.demo import PASSWORD
from tests.support.saves import deleted, deleted_in_the_list, page, user


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(user(is_active=False), id="deactivated"),
        pytest.param(deleted("user", "person"), id="deleted"),
        pytest.param(deleted_in_the_list("user", "person"), id="deleted in the list"),
    ],
)
async def test_users_who_are_deactivated_or_deleted_are_disconnected(scene, change):
    plain = await scene.plain(scene.home)
    await scene.say(scene.home)
    await scene.do(change)
    await scene.closed_with(3500, scene.person)
    assert await scene.close_codes(plain) == [3500, 3500]
    await scene.refused_at_the_door(scene.token("person"))
    await scene.say(scene.home)
    await scene.go_on()


NEW_PASSWORD = "a-quite-different-one-17"


async def test_a_password_that_an_administrator_changes_ends_the_connections(scene):
    path = page(scene, "user", "person", "password")
    await scene.do(
        lambda scene: scene.admin.save(path, password1=NEW_PASSWORD, password2=NEW_PASSWORD)
    )
    await scene.closed_with(3500, scene.person)
    await scene.refused_at_the_door(scene.token("person"))
    token = await scene.sign_in(scene.pair[0], NEW_PASSWORD)
    await scene.join(scene.pair[1], token["access"], scene.kept)
    await scene.go_on()


async def test_a_password_that_an_administrator_takes_away_ends_the_connections(scene):
    path = page(scene, "user", "person", "password")
    await scene.do(
        lambda scene: scene.admin.save(path, button="unset-password", usable_password="false")
    )
    await scene.closed_with(3500, scene.person)
    await scene.refused_at_the_door(scene.token("person"))
    await scene.go_on()


async def test_the_session_stays_in_which_its_user_changes_the_password(scene):
    await scene.do_and_hear(user(is_staff=True))  # whom the admin lets in
    this, other = [await scene.browser(site, f"person-{scene.number}") for site in scene.pair]
    own, others = await scene.join_with(this), await scene.join_with(other)
    await scene.go_on()

    def change(scene):
        entered = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
        this.save("/admin/password_change/", old_password=PASSWORD, **entered)

    await scene.do(change)
    await scene.closed_with(3500, [*others, *scene.person])
    await scene.go_on()  # `own` is still there, and hears
    later = await scene.join_with(this)
    await asyncio.to_thread(this.sign_out)
    await scene.closed_with(3500, [*own, *later])
    await scene.go_on()


async def test_a_session_that_changed_the_password_of_another_user_ends_with_its_sign_out(
    scene,
):
    browser = await scene.browser(scene.pair[0], "admin")
    own = await scene.join_with(browser)
    path = page(scene, "user", "person", "password")
    await scene.do(lambda _: browser.save(path, password1=NEW_PASSWORD, password2=NEW_PASSWORD))
    await scene.closed_with(3500, scene.person)
    await scene.go_on()
    await asyncio.to_thread(browser.sign_out)
    await scene.closed_with(3500, own)
    await scene.go_on()


async def test_a_session_ends_when_somebody_else_signs_in_over_it(scene):
    await scene.do_and_hear(user(is_staff=True))  # whom the admin lets in
    browser = await scene.browser(scene.pair[0], f"person-{scene.number}")
    own = await scene.join_with(browser)
    await scene.go_on()
    await asyncio.to_thread(browser.sign_in_over, "admin", PASSWORD)
    await scene.closed_with(3500, own)
    await scene.go_on()


async def test_a_logout_ends_the_connections_of_its_sign_in(scene):
    tokens = [await scene.sign_in(site) for site in scene.pair]
    this, _ = [
        [await scene.join(site, token["access"], scene.kept) for site in scene.pair]
        for token in tokens
    ]
    await scene.go_on()
    await scene.sign_out(scene.pair[0], tokens[0])
    await scene.closed_with(3500, this)
    await scene.refused_at_the_door(tokens[0]["access"])
    await scene.go_on()
    await scene.join(scene.pair[1], tokens[1]["access"], scene.kept)
    await scene.go_on()


async def test_a_sign_in_that_has_ended_stays_so_at_a_server_that_starts_later(scene, start_site):
    tokens = await scene.sign_in(scene.pair[0])
    await scene.sign_out(scene.pair[0], tokens)
    scene.pair = (await asyncio.to_thread(start_site, "uvicorn-fast", beside=scene.pair[0]),)
    await scene.refused_at_the_door(tokens["access"])


async def test_a_token_that_is_renewed_in_time_keeps_everything(new_scene, hasty_pair):
    scene = await new_scene(hasty_pair)
    expires = int(time.time()) + 3
    rooms = (scene.home, scene.kept)
    in_time, late, never = [
        [await scene.join(site, scene.token("person", exp=expires), *rooms) for site in scene.pair]
        for _ in range(3)
    ]
    plain = await scene.plain(scene.home, exp=expires)

    async def renew(clients):
        for client in clients:
            reply = await scene.call(client, refresh={"token": scene.token("person")})
            assert reply["refresh"]["ttl"] > 200

    await renew(in_time)
    await scene.say(scene.home)
    # A plain socket can't renew its token: it ends with it, without a grace.
    assert await scene.close_codes(plain) == [3005, 3005]
    assert expires <= time.time()
    await renew(late)
    await scene.say(scene.home)
    await scene.closed_with(3005, never)
    assert time.time() < expires + 3
    await scene.say(scene.home)
    await scene.go_on()


@pytest.mark.parametrize("who", ["bystander", "nobody"])
async def test_a_renewal_never_changes_the_user(scene, who):
    token = scene.token("bystander") if who == "bystander" else "x.y.z"
    for client in scene.person:
        await client.send(refresh={"token": token})
    await scene.closed_with(3500, scene.person)
    await scene.go_on()
