"""Changes in Django reach open sockets, in two processes: through the admin's own forms,
the token endpoints and the calls from Python."""

import time

import pytest

from tests.support.saves import (
    deleted,
    deleted_in_the_list,
    expiry,
    membership,
    membership_added,
    role,
    role_added,
    room,
    saved,
    user,
)
from tests.support.scenes import SECONDS


@pytest.mark.parametrize(
    ("name", "give", "take"),
    [
        pytest.param(
            "vault", user(is_superuser=True), user(is_superuser=False), id="of a superuser"
        ),
        pytest.param("desk", user(is_staff=True), user(is_staff=False), id="of the staff"),
        pytest.param(
            "vault",
            user(groups=["team", "keyholders"]),
            user(groups=["team"]),
            id="of the user's groups",
        ),
        pytest.param(
            "vault",
            user(groups=["team", "keyholders"]),
            deleted("group", "keyholders"),
            id="of a group that is deleted",
        ),
        pytest.param(
            "vault",
            user(user_permissions=["join_room"]),
            user(user_permissions=[]),
            id="of the user's permissions",
        ),
        pytest.param(
            "vault",
            saved("group", "team", permissions=["join_room"]),
            saved("group", "team", permissions=[]),
            id="of a group's permissions",
        ),
        pytest.param(
            "vault",
            room("vault", groups=["team", "keyholders"]),
            room("vault", groups=["keyholders"]),
            id="of the room's groups",
        ),
        pytest.param(
            "vault",
            room("vault", access="authenticated"),
            room("vault", access="members"),
            id="of the room's access",
        ),
        pytest.param(
            "vault",
            role_added("vault"),
            role("vault", DELETE=True),
            id="of a role in the room's form",
        ),
        pytest.param(
            "vault",
            membership_added("vault"),
            deleted("membership", "person in vault"),
            id="of a membership",
        ),
        pytest.param(
            "vault",
            membership_added("vault"),
            deleted_in_the_list("membership", "person in vault"),
            id="of a membership that is deleted in the list",
        ),
    ],
)
async def test_rights_that_are_given_open_a_room_and_taken_away_close_it(scene, name, give, take):
    asked = getattr(scene, name)
    await scene.refused(scene.person, subscribe={"channel": asked})
    await scene.do_and_hear(give)
    await scene.enter(scene.person, asked)
    await scene.say(asked)
    await scene.do(take)
    await scene.taken_out(scene.person, asked)
    await scene.refused(scene.person, subscribe={"channel": asked})
    await scene.go_on()


async def test_a_membership_that_is_moved_moves_its_user(scene):
    await scene.do_and_hear(membership("home", room=scene.key("vault")))
    await scene.taken_out(scene.person, scene.home)
    await scene.enter(scene.person, scene.vault)
    await scene.say(scene.vault)
    await scene.go_on()


async def test_a_membership_ends_when_it_expires(scene):
    ends = int(time.time()) + 8  # time for two forms
    await scene.do_and_hear(role("home", **expiry(ends)))
    await scene.do_and_hear(membership("hall", **expiry(ends)))
    await scene.say(scene.home)
    await scene.say(scene.hall)
    left = ends - time.time()
    await scene.taken_out(scene.person, scene.home, scene.hall, seconds=left + SECONDS)
    assert ends <= time.time()
    for name in (scene.home, scene.hall):
        await scene.refused(scene.person, subscribe={"channel": name})
    await scene.go_on()


async def test_a_plain_socket_is_closed_with_its_room(scene):
    plain = await scene.plain(scene.home)
    await scene.do(role("home", DELETE=True))
    assert await scene.close_codes(plain) == [3507, 3507]
    await scene.taken_out(scene.person, scene.home)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            [(role("home", role="reader"), False), (role("home", role="member"), True)],
            id="a role in the room's form",
        ),
        pytest.param(
            [(membership("home", role="reader"), False), (membership("home", role="member"), True)],
            id="a role in the membership's form",
        ),
        pytest.param(
            [(role("home", muted=True), False), (role("home", muted=False), True)],
            id="being muted in the room's form",
        ),
        pytest.param(
            [(membership("home", muted=True), False), (membership("home", muted=False), True)],
            id="being muted in the membership's form",
        ),
        pytest.param(
            [(room("home", publishing="moderators"), False), (role("home", role="moderator"), True)]
            + [(role("home", role="member"), False), (room("home", publishing="members"), True)],
            id="who may publish in the room",
        ),
        pytest.param(
            [(role("home", role="reader"), False), (user(user_permissions=["publish_room"]), True)]
            + [(user(user_permissions=[]), False)],
            id="a permission of the user",
        ),
    ],
)
async def test_publishing_is_switched_off_and_on(scene, steps):
    for change, may_publish in steps:
        await scene.do_and_hear(change)
        if may_publish:
            for client in scene.person:
                await scene.say(scene.home, by=client)
        else:
            await scene.refused(scene.person, publish={"channel": scene.home, "data": "not heard"})
        await scene.say(scene.home)  # a moderator goes on, and the person reads on
        await scene.go_on()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(room("home", archived=True), id="archived"),
        pytest.param(deleted("room", "home"), id="deleted"),
        pytest.param(deleted_in_the_list("room", "home"), id="deleted in the list"),
        pytest.param(room("home", name="renamed"), id="renamed"),
    ],
)
async def test_a_room_that_is_gone_is_empty(scene, change):
    plain = await scene.plain(scene.home)
    await scene.say(scene.home)
    await scene.do(change)
    assert await scene.close_codes(plain) == [3507, 3507]
    everybody = [*scene.person, *scene.bystander]
    await scene.taken_out(everybody, scene.home)
    await scene.refused(everybody, subscribe={"channel": scene.home})
    await scene.go_on()


async def test_a_room_that_is_open_to_everybody_is_empty_when_it_is_deleted(scene):
    await scene.do_and_hear(room("vault", access="authenticated"))
    await scene.enter(scene.person, scene.vault)
    await scene.do(deleted("room", "vault"))
    await scene.taken_out([*scene.person, *scene.bystander], scene.vault)


async def test_an_archived_room_opens_again(scene):
    await scene.say(scene.home)
    await scene.do_and_hear(room("home", archived=True))
    everybody = [*scene.person, *scene.bystander]
    await scene.taken_out(everybody, scene.home)
    await scene.do_and_hear(room("home", archived=False))
    await scene.enter(everybody, scene.home)
    await scene.say(scene.home)
    await scene.go_on()
