"""`python -m benchmarks.population`: the database of the measured site.

A group of users, each with a token, and rooms that only this group may enter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

GROUP = "measured"


def populate(users: int, rooms: dict[str, dict[str, Any]]) -> list[str]:
    """Create users and rooms. `rooms` maps names to fields. Return a token of each user."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.site_settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import Group, User

    from accounts.serializers import ObtainSerializer
    from realtime.models import Room

    group = Group.objects.create(name=GROUP)
    User.objects.bulk_create(
        [User(username=f"user{number}", password="!") for number in range(users)]
    )
    everybody = list(User.objects.order_by("pk"))
    through = User.groups.through
    through.objects.bulk_create([through(user=user, group=group) for user in everybody])
    Room.objects.bulk_create([Room(name=name, **fields) for name, fields in rooms.items()])
    room_groups = Room.groups.through
    room_groups.objects.bulk_create(
        [room_groups(room=room, group=group) for room in Room.objects.all()]
    )
    tokens: list[Any] = [ObtainSerializer.get_token(user) for user in everybody]
    return [str(token.access_token) for token in tokens]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.population", description=__doc__)
    parser.add_argument("--users", type=int, required=True)
    options = parser.parse_args()
    rooms: dict[str, dict[str, Any]] = json.load(sys.stdin)
    json.dump(populate(options.users, rooms), sys.stdout)


if __name__ == "__main__":
    main()
