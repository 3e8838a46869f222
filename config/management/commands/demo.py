"""`manage.py demo`: users and rooms to try the example site with."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from realtime.models import Membership, Room

PASSWORD = "realtime-demo"
PEOPLE = ("alice", "bob", "carol")


class Command(BaseCommand):
    help = "Create the demo users and rooms that are missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="even if DEBUG is off")

    @transaction.atomic
    def handle(self, *args: Any, force: bool, **options: Any) -> None:
        if not settings.DEBUG and not force:
            raise CommandError(
                "The demo users have a password that everybody knows. "
                "Set DJANGO_DEBUG=1, or add --force if you mean it."
            )
        users = {name: _user(name) for name in PEOPLE}
        _user("admin", is_staff=True, is_superuser=True)
        staff, _ = Group.objects.get_or_create(name="Staff")
        staff.user_set.add(users["alice"], users["bob"])
        _room("lobby", "Lobby", access=Room.Access.AUTHENTICATED)
        announcements = _room(
            "announcements",
            "Announcements",
            access=Room.Access.AUTHENTICATED,
            publishing=Room.Publishing.MODERATORS,
        )
        Membership.objects.get_or_create(
            room=announcements, user=users["bob"], defaults={"role": Membership.Role.MODERATOR}
        )
        _room("staff", "Staff").groups.add(staff)
        self.stdout.write(f"Sign in as {', '.join(PEOPLE)} or admin, password {PASSWORD}")


def _user(name: str, **flags: bool) -> Any:
    users = get_user_model()._default_manager
    user, created = users.get_or_create(username=name, defaults=flags)
    if created:
        user.set_password(PASSWORD)
        user.save()
    return user


def _room(name: str, title: str, **options: Any) -> Room:
    room, _ = Room.objects.get_or_create(name=name, defaults={"title": title, **options})
    return room
