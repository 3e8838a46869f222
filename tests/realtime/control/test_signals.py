"""Rows that are loaded from a file, in any order, are announced."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from realtime.models import Membership, Room

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_backup_of_the_site_can_be_loaded_in_any_order(alice, lobby, tmp_path, changes):
    Membership.objects.create(room=lobby, user=alice)
    backup = tmp_path / "backup.json"
    call_command("dumpdata", "auth.user", "realtime", output=str(backup))
    rows = json.loads(backup.read_text())
    backup.write_text(json.dumps(rows[::-1]))
    Membership.objects.all().delete()
    Room.objects.all().delete()
    User.objects.all().delete()
    changes()
    call_command("loaddata", str(backup), verbosity=0)
    assert Membership.objects.get().room.name == "lobby"
    assert (str(alice.pk), "lobby") in changes()


def test_a_membership_that_is_loaded_before_its_room_is_announced_with_its_name(alice, changes):
    changes()
    with transaction.atomic():
        now = timezone.now()
        # As `loaddata` does: not every database looks at foreign keys at the commit alone.
        with connection.constraint_checks_disabled():
            Membership(room_id=77, user=alice, created_at=now).save_base(raw=True)
            Room(pk=77, name="late", created_at=now).save_base(raw=True)
    assert (str(alice.pk), "late") in changes()
