"""Changes made in code, with and without a signal, and the calls that reach connections."""

from tests.support.saves import in_python


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


async def test_changes_without_a_signal_are_found_by_the_regular_review(new_scene, hasty_pair):
    scene = await new_scene(hasty_pair)
    scene.execute("DELETE FROM realtime_membership WHERE id = ?", scene.key("person in home"))
    await scene.taken_out(scene.person, scene.home)
    scene.execute("UPDATE auth_user SET is_active = 0 WHERE id = ?", scene.key("person"))
    await scene.closed_with(3500, scene.person)
    await scene.go_on()
