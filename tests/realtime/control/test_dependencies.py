"""`rights_depend_on`: saves of the site's own models recheck the rooms whose rules read them.

Long, because it mirrors one module.
"""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import AbstractUser, Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction

from realtime import rooms
from realtime.authentication import Identity
from realtime.changes import changes as recorded
from realtime.control import announcements, dependencies
from realtime.control.messages import Audience, Rechecks
from realtime.layers import get_layer
from realtime.rooms import room_types
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_watched(monkeypatch):
    """What a test declares is forgotten after it."""
    monkeypatch.setattr(room_types, "_types", [])
    monkeypatch.setattr(dependencies, "_watched", [])
    dependencies._failures._of_kind.clear()
    connected = []
    listen = dependencies._listen_to

    def remember(dependency, model):
        connected.append((dependency, model))
        listen(dependency, model)

    monkeypatch.setattr(dependencies, "_listen_to", remember)
    yield
    for dependency, model in connected:
        for signal, receiver in (
            (models.signals.post_init, dependency.load),
            (models.signals.post_save, dependency.saved),
            (models.signals.post_delete, dependency.deleted),
            (models.signals.m2m_changed, dependency.relation_changed),
        ):
            uid = (id(dependency), receiver.__name__, model._meta.label)
            signal.disconnect(sender=model, dispatch_uid=uid)


@pytest.fixture
def announced(monkeypatch):
    """`announced()`: the rechecks since it was called last."""
    sent = []
    monkeypatch.setattr(announcements, "_send", lambda layer, message, *marks: sent.append(message))

    def _announced():
        found = [
            change
            for message in sent
            for change in (message.changes if isinstance(message, Rechecks) else [message])
        ]
        sent.clear()
        return found

    return _announced


@pytest.fixture
def rooms_of(announced):
    """`rooms_of()`: the rooms that are rechecked since it was called last; None is everything."""
    return lambda: sorted((it.room for it in announced() if it.user is None), key=str)


def declare(model=LogEntry, rooms_of=lambda entry: {"pk": entry.user_id}, pattern="desk/<int:pk>"):
    attributes = {"rights_depend_on": {model: rooms_of}}
    return rooms.register(pattern)(type("DeskRoom", (rooms.RoomType,), attributes))


def entry(user, **values):
    """A row of a table of the site."""
    kind = ContentType.objects.get_for_model(User)
    values = {"content_type": kind, "object_repr": "x", "action_flag": ADDITION, **values}
    return LogEntry.objects.create(user=user, **values)


@pytest.fixture
def bob():
    return User.objects.create_user("bob")


def test_a_row_that_is_created_saved_or_deleted_rechecks_its_room(alice, rooms_of):
    declare()
    rooms_of()
    made = entry(alice)
    assert rooms_of() == [f"desk/{alice.pk}"]
    made.object_repr = "y"
    made.save()
    assert rooms_of() == [f"desk/{alice.pk}"]
    made.delete()
    assert rooms_of() == [f"desk/{alice.pk}"]


def test_apps_that_are_loaded_again_watch_nothing_twice(alice, rooms_of, settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.humanize"]
    declare()
    entry(alice)
    assert rooms_of() == [f"desk/{alice.pk}"]


def test_a_row_that_moves_to_another_room_rechecks_both(alice, bob, rooms_of):
    declare()
    entry(alice)
    rooms_of()
    loaded = LogEntry.objects.select_related("user").get()
    loaded.user = bob
    loaded.save(update_fields=["user"])
    assert rooms_of() == sorted([f"desk/{alice.pk}", f"desk/{bob.pk}"])
    loaded.save()
    assert rooms_of() == [f"desk/{bob.pk}"]


def test_the_row_before_has_the_relations_of_that_time(alice, bob, rooms_of):
    declare(rooms_of=lambda entry: {"name": entry.user.username}, pattern="desk/<slug:name>")
    made = entry(alice)
    rooms_of()
    made.user = bob
    made.save()
    assert rooms_of() == ["desk/alice", "desk/bob"]


def test_a_row_that_is_deleted_after_it_was_changed_in_memory_rechecks_where_it_was(
    alice, bob, rooms_of
):
    declare()
    made = entry(alice)
    rooms_of()
    made.user = bob
    made.delete()
    assert f"desk/{alice.pk}" in rooms_of()


def test_rows_that_are_deleted_with_another_one_recheck_their_rooms(alice, rooms_of):
    declare(rooms_of=lambda entry: {"pk": entry.object_id}, pattern="desk/<int:pk>")
    entry(alice, object_id="5")
    entry(alice, object_id="6")
    rooms_of()
    alice.delete()
    assert rooms_of() == ["desk/5", "desk/6"]


def test_a_function_may_name_several_rooms_or_none(alice, rooms_of):
    declare(rooms_of=lambda entry: [{"pk": 1}, {"pk": 2}] if entry.object_repr == "x" else None)
    made = entry(alice)
    assert rooms_of() == ["desk/1", "desk/2"]
    made.object_repr = ""
    made.save()
    assert rooms_of() == ["desk/1", "desk/2"]
    made.save()
    assert rooms_of() == []


def test_a_row_without_its_object_has_no_room(alice, rooms_of):
    declare(rooms_of=lambda entry: {"pk": entry.content_type_id})
    entry(alice, content_type=None)
    assert rooms_of() == []


def test_a_transaction_is_announced_once_after_its_commit(alice, rooms_of):
    declare()
    with transaction.atomic():
        made = entry(alice)
        made.save()
        assert rooms_of() == []
    assert rooms_of() == [f"desk/{alice.pk}"]
    with pytest.raises(RuntimeError), transaction.atomic():
        made.save()
        raise RuntimeError
    assert rooms_of() == []


def test_a_save_that_changes_nothing_shuts_nobody_out(alice, announced, monkeypatch):
    declare()
    made = entry(alice)
    marked = []
    monkeypatch.setattr(
        announcements, "_send", lambda layer, message, locking_out=(): marked.append(locking_out)
    )
    made.save()
    made.object_repr = "y"
    made.save()
    assert [len(locking_out) for locking_out in marked] == [0, 1]


def test_only_those_whose_rights_differ_are_notified(alice, announced):
    declare()
    announced()
    entry(alice)
    assert [change.audience for change in announced()] == [Audience.NOBODY]


def test_a_function_that_raises_rechecks_everything_and_breaks_no_save(alice, rooms_of, caplog):
    declare(rooms_of=lambda entry: {"pk": entry.customer_id})
    entry(alice)
    assert rooms_of() == [None]
    assert "DeskRoom.rights_depend_on[LogEntry] raised" in caplog.text
    assert "such as {'pk': row.order_id}" in caplog.text
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize("answer", [{"number": 5}, {"pk": "x"}, 5, ["pk"]])
def test_an_answer_that_is_no_room_rechecks_everything(alice, rooms_of, answer):
    declare(rooms_of=lambda entry: answer)
    entry(alice)
    assert rooms_of() == [None]


def test_a_model_may_be_written_as_its_label(alice, rooms_of):
    declare("admin.LogEntry")
    entry(alice)
    assert rooms_of() == [f"desk/{alice.pk}"]


class Line(LogEntry):
    class Meta:
        app_label = "admin"
        proxy = True


@pytest.mark.parametrize(("watched", "saved"), [(LogEntry, Line), (Line, LogEntry)])
def test_a_proxy_and_its_model_are_one_table(alice, rooms_of, watched, saved):
    entry(alice)
    declare(watched)
    rooms_of()
    found = saved.objects.get()
    found.object_repr = "y"
    found.save()
    assert rooms_of() == [f"desk/{alice.pk}"]


def test_a_model_that_is_made_later_is_watched_too(alice, rooms_of):
    declare()
    entry(alice)

    class Late(LogEntry):
        class Meta:
            app_label = "admin"
            proxy = True

    rooms_of()
    Late.objects.get().save()
    assert rooms_of() == [f"desk/{alice.pk}"]


def test_a_many_to_many_relation_is_watched_by_its_through_model(alice, bob, rooms_of):
    declare(User.groups.through, lambda row: {"pk": row.group_id})
    staff, crew = Group.objects.create(name="staff"), Group.objects.create(name="crew")
    rooms_of()
    alice.groups.add(staff, crew)
    assert rooms_of() == [f"desk/{staff.pk}", f"desk/{crew.pk}"]
    staff.user_set.add(bob)
    assert rooms_of() == [f"desk/{staff.pk}"]
    alice.groups.remove(crew)
    assert rooms_of() == [f"desk/{crew.pk}"]
    bob.groups.clear()
    assert rooms_of() == [f"desk/{staff.pk}"]
    staff.user_set.set([])
    assert rooms_of() == [f"desk/{staff.pk}"]


def test_a_load_costs_no_query(alice, count_queries):
    declare(rooms_of=lambda entry: {"pk": entry.user.pk})
    entry(alice)
    with count_queries() as queries:
        list(LogEntry.objects.all())
    assert len(queries) == 1


def test_deferred_fields_stay_deferred(alice, rooms_of, count_queries):
    declare()
    entry(alice)
    rooms_of()
    found = LogEntry.objects.only("object_repr").get()
    found.object_repr = "y"
    with count_queries() as queries:
        found.save()
    assert [sql for sql in queries if sql.startswith("SELECT")] != []
    assert rooms_of() == [f"desk/{alice.pk}"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([LogEntry], "Write a dict from each model to a function"),
        ({AbstractUser: len}, "Write a model of which there are rows"),
        ({5: len}, "has the key 5. Write a model"),
        ({LogEntry: "user"}, "has 'user'. Write a function from a row to rooms, such as"),
        ({"shop.Order": len}, "rights_depend_on has 'shop.Order': No installed app"),
        ({"Order": len}, "rights_depend_on has 'Order': "),
    ],
)
def test_a_mistake_is_named_with_its_cure(value, sentence):
    with pytest.raises(ImproperlyConfigured) as refused:
        rooms.register("desk/<int:pk>")(
            type("DeskRoom", (rooms.RoomType,), {"rights_depend_on": value})
        )
    assert sentence in str(refused.value)


# From the save to the socket


@pytest.fixture
def hub_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


async def test_a_row_that_goes_takes_its_user_out_of_the_room_at_once(alice, open_session, node):
    @rooms.register("desk/<int:pk>")
    class DeskRoom(rooms.RoomType):
        rights_depend_on = {LogEntry: lambda entry: {"pk": entry.user_id}}

        def can_join(self, user, pk):
            return LogEntry.objects.filter(user=user, user_id=pk).exists()

    row = await sync_to_async(entry)(alice)
    session = open_session(Identity(alice))
    await call(session, connect={})
    async with asyncio.timeout(5):
        while recorded.version < 0:
            await asyncio.sleep(0)
    name = DeskRoom.name(pk=alice.pk)
    assert "subscribe" in await call(session, subscribe={"channel": name})
    await row.adelete()
    push = await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    assert push["push"]["channel"] == name
