"""The models: rooms, and the memberships of users in them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, Group
from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from . import names, user_models


def validate_room_name(value: str) -> None:
    if not names.is_room_name(value):
        raise ValidationError(_("A room name has %(rule)s."), params={"rule": names.RULE})
    if names.is_personal(value):
        message = _("Names that begin with %(start)s are those of personal rooms.")
        raise ValidationError(message, params={"start": names.PERSONAL})


class RoomQuerySet(models.QuerySet["Room"]):
    def open_to(self, user: Any) -> RoomQuerySet:
        """Return the rooms that `user` may enter by access, group or role.

        Rights from other authentication backends are not included; check them with `has_perm`.
        """
        rooms = self.filter(archived=False)
        everybody = Q(access=Room.Access.ANYONE)
        if isinstance(user, AnonymousUser):
            return rooms.filter(everybody)
        if not user.is_active:
            return rooms.none()
        if user_models.has_perm(user, "realtime.join_room"):
            return rooms
        member = Membership.objects.current().filter(user=user).values("room")
        shared = user_models.in_groups_of(user.pk, "group")
        in_group = Room.groups.through.objects.filter(shared).values("room")
        signed_in = Q(access=Room.Access.AUTHENTICATED)
        return rooms.filter(everybody | signed_in | Q(pk__in=member) | Q(pk__in=in_group))


class Room(models.Model):
    """A room that is managed in the admin. Rooms in code have a `realtime.rooms.RoomType`."""

    class Access(models.TextChoices):
        MEMBERS = "members", _("members and groups below")
        AUTHENTICATED = "authenticated", _("every signed-in user")
        ANYONE = "anyone", _("anyone, signed in or not")

    class Publishing(models.TextChoices):
        MEMBERS = "members", _("everybody who may enter and is signed in")
        MODERATORS = "moderators", _("moderators only")
        NOBODY = "nobody", _("nobody: only the server")

    name = models.CharField(
        _("name"),
        max_length=names.MAX_LENGTH,
        unique=True,
        validators=[validate_room_name],
        help_text=_("How clients address the room. Upper and lower case differ."),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    access = models.CharField(
        _("who may enter"), max_length=16, choices=Access, default=Access.MEMBERS
    )
    publishing = models.CharField(
        _("who may publish"), max_length=16, choices=Publishing, default=Publishing.MEMBERS
    )
    groups = models.ManyToManyField(
        Group,
        verbose_name=_("groups"),
        blank=True,
        related_name="+",
        help_text=_("Everybody in these groups is a member of the room."),
    )
    history_size = models.PositiveIntegerField(
        _("history size"), default=100, help_text=_("Messages kept; 0 keeps none.")
    )
    history_ttl_seconds = models.PositiveIntegerField(
        _("history age"), default=300, help_text=_("Seconds for which messages are kept.")
    )
    presence = models.BooleanField(
        _("presence"), default=True, help_text=_("Members may see who is in the room.")
    )
    archived = models.BooleanField(
        _("archived"), default=False, help_text=_("Nobody may enter an archived room.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = RoomQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("room")
        verbose_name_plural = _("rooms")
        permissions = [
            ("join_room", _("Can join every room")),
            ("publish_room", _("Can publish in every room")),
            ("moderate_room", _("Can moderate every room")),
        ]

    def __str__(self) -> str:
        return str(self.title or self.name)


memberships_deleted = Signal()
"""Sent after memberships were deleted, with `rows`: pairs of a user id and the name of a room, or
None if there are too many; and `using`.

Stands in for `post_delete`, which Django sends only after it has loaded each row that it deletes.
A room with thousands of members is deleted at once because nothing listens to that.
"""

MOST_NAMED = 1_000


class MembershipQuerySet(models.QuerySet["Membership"]):
    def delete(self) -> tuple[int, dict[str, int]]:
        if self.query.is_sliced or self.query.distinct_fields or self.query.combinator:
            return super().delete()  # which refuses
        chosen: Any = self.all()
        chosen._for_write = True  # as Django does, to ask the router for the database of writes
        using = chosen.db
        with transaction.atomic(using=using, savepoint=False):
            rows = _named(self.using(using).order_by())
            deleted = super().delete()
            if deleted[0]:
                memberships_deleted.send(sender=self.model, rows=rows, using=using)
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def current(self) -> MembershipQuerySet:
        """Return the memberships that have not expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


class Membership(models.Model):
    """The role of one user in one room. It takes precedence over the room's groups and access."""

    class Role(models.TextChoices):
        READER = "reader", _("reader")
        MEMBER = "member", _("member")
        MODERATOR = "moderator", _("moderator")

    room = models.ForeignKey(
        Room, verbose_name=_("room"), on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.CASCADE,
        related_name="room_memberships",
    )
    role = models.CharField(_("role"), max_length=16, choices=Role, default=Role.MEMBER)
    muted = models.BooleanField(_("muted"), default=False, help_text=_("May read, not publish."))
    expires_at = models.DateTimeField(
        _("expires at"),
        null=True,
        blank=True,
        help_text=_("The membership has no effect after this time. Leave empty for no expiry."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ["room", "user"]
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["room", "user"], name="realtime_membership_unique")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.room} as {self.role}"

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        using = using or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using, savepoint=False):
            rows = self._named(using)
            deleted = super().delete(using=using, keep_parents=keep_parents)
            memberships_deleted.send(sender=type(self), rows=rows, using=using)
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]

    def _named(self, using: str) -> list[tuple[Any, str | None]] | None:
        if Membership.room.is_cached(self):
            return [(self.user_id, self.room.name)]
        return _named(Membership.objects.using(using).filter(pk=self.pk))


def _named(memberships: MembershipQuerySet) -> list[tuple[Any, str | None]] | None:
    """Return whose memberships these are, and where; whole rooms if there are very many."""
    rows: list[tuple[Any, Any]] = list(
        memberships.values_list("user_id", "room__name")[: MOST_NAMED + 1]
    )
    if len(rows) <= MOST_NAMED:
        return rows
    rooms = memberships.values_list("room__name", flat=True).distinct()[: MOST_NAMED + 1]
    names = list(rooms)
    return None if len(names) > MOST_NAMED else [(None, name) for name in names]


class EmptyManager(models.Manager["Connection"]):
    def get_queryset(self) -> models.QuerySet[Connection]:
        # There is no table. Commands that read all models, such as `dumpdata`, find no rows.
        return super().get_queryset().none()


class Connection(models.Model):
    """A live connection, for the admin and its permissions. It has no table: see `hub.registry`."""

    client = models.CharField(_("client"), max_length=64, primary_key=True)
    description = ""
    """The user, as shown in the admin."""

    objects = EmptyManager()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view",)
        verbose_name = _("live connection")
        verbose_name_plural = _("live connections")
        permissions = [
            ("disconnect_connection", _("Can disconnect people")),
            ("notify_connection", _("Can send notices")),
        ]

    def __str__(self) -> str:
        return self.description or self.client
