"""Live connections on the page of a user, whatever admin the site has for its users."""

import pytest
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User

from accounts.admin import show_live_connections
from realtime.admin import LiveConnectionsMixin


@pytest.fixture
def site():
    return admin.AdminSite("of-the-test")


class OwnAdmin(UserAdmin):
    list_display = ("username",)


def test_the_example_site_shows_live_connections():
    registered = admin.site.get_model_admin(User)
    assert isinstance(registered, LiveConnectionsMixin)
    assert isinstance(registered, UserAdmin)
    assert not registered.check()


def test_an_admin_of_the_site_keeps_its_own_options(site):
    site.register(User, OwnAdmin)
    show_live_connections(site, User)
    registered = site.get_model_admin(User)
    assert isinstance(registered, OwnAdmin)
    assert isinstance(registered, LiveConnectionsMixin)
    assert registered.list_display == ("username",)
    assert "realtime/admin.css" in str(registered.media)
    assert not registered.check()


def test_an_admin_with_the_mixin_is_not_changed(site):
    class WithMixin(LiveConnectionsMixin, UserAdmin):
        pass

    site.register(User, WithMixin)
    show_live_connections(site, User)
    assert type(site.get_model_admin(User)) is WithMixin


def test_nothing_happens_without_an_admin_of_users(site):
    show_live_connections(site, User)
    assert not site.is_registered(User)
