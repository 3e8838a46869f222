"""User models that differ from Django's own, each in another way."""

from django.contrib.auth.models import (
    AbstractBaseUser,
    BaseUserManager,
    Group,
    Permission,
    PermissionsMixin,
)
from django.db import models


class People(BaseUserManager):
    def make(self, name, **fields):
        user = self.model(**{self.model.USERNAME_FIELD: name}, **fields)
        user.set_unusable_password()
        user.save()
        return user


class Person(AbstractBaseUser):
    name = models.CharField(max_length=150, unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    USERNAME_FIELD = "name"
    objects = People()

    class Meta:
        abstract = True


class ByEmail(AbstractBaseUser, PermissionsMixin):
    """Signs in with an e-mail address. Its groups can't be asked for their users."""

    email = models.EmailField(unique=True)
    full_name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    groups = models.ManyToManyField(Group, related_name="+", blank=True)
    user_permissions = models.ManyToManyField(Permission, related_name="holders", blank=True)

    USERNAME_FIELD = EMAIL_FIELD = "email"
    objects = People()


class ByNumber(AbstractBaseUser, PermissionsMixin):
    """Signs in with a number, which is no text."""

    number = models.PositiveIntegerField(unique=True)
    is_staff = models.BooleanField(default=False)
    groups = models.ManyToManyField(Group, related_name="by_number", blank=True)
    user_permissions = models.ManyToManyField(Permission, related_name="by_number", blank=True)

    USERNAME_FIELD = "number"
    objects = People()

    def __str__(self):
        return f"No. {self.number}"


class Plain(Person):
    """Without `PermissionsMixin`: no groups, no permissions, no `has_perm`, no superusers."""


class Team(models.Model):
    """Something else than Django's groups."""

    title = models.CharField(max_length=50)

    def __str__(self):
        return self.title


class InTeams(Person, PermissionsMixin):
    """`groups` are the teams of the site."""

    groups = models.ManyToManyField(Team, related_name="members")
    user_permissions = models.ManyToManyField(Permission, related_name="in_teams")


class WithoutPermissions(Person):
    """Groups, but no permissions of its own and no `has_perm`; `groups` keeps when it began."""

    groups = models.ManyToManyField(Group, through="Entry", related_name="persons")


class Entry(models.Model):
    person = models.ForeignKey(WithoutPermissions, on_delete=models.CASCADE)
    group = models.ForeignKey(Group, on_delete=models.CASCADE)
    since = models.DateField(auto_now_add=True)

    def __str__(self):
        return f"{self.person} since {self.since}"


class Department(Group):
    """A group with more to it."""

    floor = models.IntegerField(default=0)


class InDepartments(Person, PermissionsMixin):
    groups = models.ManyToManyField(Department, related_name="staff")
    user_permissions = models.ManyToManyField(Permission, related_name="in_departments")


class WithOwnAnswer(Person):
    """`groups` is no relation at all, and `has_perm` is the site's."""

    @property
    def groups(self):
        return ["everybody"]

    def has_perm(self, permission, obj=None):
        return permission == "realtime.join_room"
