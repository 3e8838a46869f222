"""As on sites that manage users and groups elsewhere."""

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

admin.site.unregister(Group)
admin.site.unregister(get_user_model())
