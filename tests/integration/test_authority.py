"""What is changed in Django reaches open sockets, in two processes: through the admin's own forms,
the token endpoints and the calls from Python."""

import asyncio
import json
import re
import time
from datetime import UTC, datetime

import pytest

from config.management.commands.demo import PASSWORD
from tests.support.admin_forms import Browser
from tests.support.scenes import SCENES, SEED, Scene

APPS = {"user": "auth", "group": "auth", "room": "realtime", "membership": "realtime"}


@pytest.fixture(scope="module")
def pair(start_site):
    """A Daphne and a uvicorn of one site."""
    daphne = start_site("daphne", redis=True, DJANGO_SETTINGS_MODULE="tests.settings.authority")
    return daphne, start_site("uvicorn-fast", beside=daphne)


@pytest.fixture(scope="module")
def hasty_pair(pair, start_site):
    """Two more servers of the same site, with short times."""
    env = {"beside": pair[0], "DJANGO_SETTINGS_MODULE": "tests.settings.expiry"}
    return start_site("daphne", **env), start_site("uvicorn-fast", **env)


@pytest.fixture(scope="module")
def keys(pair):
    """The primary keys of what there is, by name."""
    return json.loads(pair[0].shell(SEED).splitlines()[-1])


@pytest.fixture(scope="module")
def site(pair, keys):
    """Whose users sign tokens and open sockets where nothing else is said."""
    return pair[0]


@pytest.fixture(scope="module")
def admins(pair, keys):
    """The browsers of an administrator who is signed in at both servers."""
    return [Browser(site.url).sign_in("admin", PASSWORD) for site in pair]


@pytest.fixture(scope="module")
def numbers():
    return iter(range(SCENES))


@pytest.fixture
def new_scene(pair, keys, admins, numbers, open_client, sign, secrets):
    async def _new(at=pair):
        number = next(numbers)
        admin = admins[number % 2]
        scene = Scene(number, at, keys, admin, open_client, sign, secrets)
        await scene.open()
        return scene

    return _new


@pytest.fixture
async def scene(new_scene):
    return await new_scene()


def page(scene, model, name, view="change"):
    return f"/admin/{APPS[model]}/{model}/{scene.key(name)}/{view}/"


def keys_of(scene, values):
    """Groups and permissions are chosen by name."""
    return {
        field: [scene.key(it) for it in value] if isinstance(value, list) else value
        for field, value in values.items()
    }


def saved(model, name, /, **values):
    """The form of something is saved with other values."""
    return lambda scene: scene.admin.save(page(scene, model, name), **keys_of(scene, values))


def deleted(model, name):
    return lambda scene: scene.admin.delete(page(scene, model, name, "delete"))


def deleted_in_the_list(model, name):
    path = f"/admin/{APPS[model]}/{model}/"
    return lambda scene: scene.admin.run_action(path, "delete_selected", scene.key(name))


def user(**values):
    return saved("user", "person", **values)


def room(name, /, **values):
    return saved("room", name, **values)


def role(name, /, **values):
    """The person's row in the form of a room is changed."""

    def _change(scene):
        path = page(scene, "room", name)
        form = scene.admin.form(path)
        row = form.row("memberships", user=scene.key("person"))
        form.fill(**{row + field: value for field, value in values.items()})
        scene.admin.send(path, form)

    return _change


def role_added(name):
    def _change(scene):
        path = page(scene, "room", name)
        form = scene.admin.form(path)
        form.fill(**{form.add_row("memberships") + "user": scene.key("person")})
        scene.admin.send(path, form)

    return _change


def membership(name, /, **values):
    """The same, in the form of the membership itself."""
    return saved("membership", f"person in {name}", **values)


def membership_added(name):
    def _change(scene):
        chosen = {"room": scene.key(name), "user": scene.key("person")}
        path = "/admin/realtime/membership/add/"
        location = scene.admin.save(path, button="_continue", **chosen)
        added = f"person-{scene.number} in {name}-{scene.number}"
        scene.keys[added] = int(re.search(r"/membership/(\d+)/change/", location)[1])

    return _change


def expiry(ends):
    """A moment as the admin's two fields take it."""
    moment = datetime.fromtimestamp(ends, UTC)
    return {"expires_at_0": f"{moment:%Y-%m-%d}", "expires_at_1": f"{moment:%H:%M:%S}"}


def in_python(code):
    """Code that another process of the site runs."""
    return lambda scene: scene.pair[0].shell(f"import realtime; {code}")


# Users


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
    await scene.do(lambda it: it.admin.save(path, password1=NEW_PASSWORD, password2=NEW_PASSWORD))
    await scene.closed_with(3500, scene.person)
    await scene.refused_at_the_door(scene.token("person"))
    token = await scene.sign_in(scene.pair[0], NEW_PASSWORD)
    await scene.join(scene.pair[1], token["access"], scene.kept)
    await scene.go_on()


async def test_a_password_that_an_administrator_takes_away_ends_the_connections(scene):
    path = page(scene, "user", "person", "password")
    await scene.do(lambda it: it.admin.save(path, button="unset-password", usable_password="false"))
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


# Rights to be in a room


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
    ends = int(time.time()) + 3
    await scene.do_and_hear(role("home", **expiry(ends)))
    await scene.do_and_hear(membership("hall", **expiry(ends)))
    await scene.say(scene.home)
    await scene.say(scene.hall)
    await scene.taken_out(scene.person, scene.home, scene.hall)
    assert ends <= time.time() < ends + 2
    for name in (scene.home, scene.hall):
        await scene.refused(scene.person, subscribe={"channel": name})
    await scene.go_on()


async def test_a_plain_socket_is_closed_with_its_room(scene):
    plain = await scene.plain(scene.home)
    await scene.do(role("home", DELETE=True))
    assert await scene.close_codes(plain) == [3507, 3507]
    await scene.taken_out(scene.person, scene.home)


# Rights to publish


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


# Rooms


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


# Sign-ins and tokens


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


# From Python, and behind the back of Django


async def test_disconnect_closes_all_connections_of_a_user(scene):
    plain = await scene.plain(scene.home)
    await scene.do(in_python(f"realtime.disconnect(user={scene.key('person')})"))
    await scene.closed_with(3503, scene.person)
    assert await scene.close_codes(plain) == [3503, 3503]
    await scene.go_on()
    await scene.join(scene.pair[0], scene.token("person"), scene.kept)
    await scene.go_on()


async def test_unsubscribe_takes_a_user_out_who_may_come_back(scene):
    await scene.do(in_python(f"realtime.unsubscribe({scene.home!r}, user={scene.key('person')})"))
    await scene.taken_out(scene.person, scene.home)
    await scene.enter(scene.person, scene.home)
    await scene.say(scene.home)
    await scene.go_on()


async def test_relations_that_are_changed_in_python_count_at_once(scene):
    group = f"Group.objects.get(name='keyholders-{scene.number}')"
    add = f"{group}.user_set.add({scene.key('person')})"
    clear = f"Room.objects.get(name={scene.vault!r}).groups.clear()"
    await scene.do_and_hear(in_python(f"from django.contrib.auth.models import Group; {add}"))
    await scene.enter(scene.person, scene.vault)
    await scene.say(scene.vault)
    await scene.do(in_python(f"from realtime.models import Room; {clear}"))
    await scene.taken_out(scene.person, scene.vault)


async def test_a_recheck_of_a_user_finds_a_bulk_update(scene):
    update = f"User.objects.filter(pk={scene.key('person')}).update(is_active=False)"
    await scene.do(in_python(f"from django.contrib.auth.models import User; {update}"))
    await scene.go_on()  # nobody has been told
    await scene.do(in_python(f"realtime.recheck(user={scene.key('person')})"))
    await scene.closed_with(3500, scene.person)
    await scene.go_on()


async def test_a_recheck_of_a_room_finds_a_bulk_update(scene):
    scene.execute("DELETE FROM realtime_membership WHERE id = ?", scene.key("person in home"))
    await scene.say(scene.home)
    await scene.do(in_python(f"realtime.recheck(room={scene.home!r})"))
    await scene.taken_out(scene.person, scene.home)
    await scene.go_on()


async def test_what_nobody_is_told_of_is_found_now_and_then(new_scene, hasty_pair):
    scene = await new_scene(hasty_pair)
    scene.execute("DELETE FROM realtime_membership WHERE id = ?", scene.key("person in home"))
    await scene.taken_out(scene.person, scene.home)
    scene.execute("UPDATE auth_user SET is_active = 0 WHERE id = ?", scene.key("person"))
    await scene.closed_with(3500, scene.person)
    await scene.go_on()
