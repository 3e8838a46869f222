"""Connections in the registry, and browsers of the staff."""

import time

import msgspec
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User

from realtime.layers.records import Connection, Process
from tests.support.pages import Layer, layer_of_the_site


@pytest.fixture
def layer():
    layer = Layer()
    with layer_of_the_site(layer):
        yield layer


@pytest.fixture
def connect(layer):
    """`connect(alice, "lobby")`: a live connection, in a process of this name; returns its id."""
    numbers = iter(range(1, 100_000))

    def _connect(user=None, *in_rooms, process="web-1", **fields):
        number = next(numbers)
        known = {
            "client": f"client-{number:05}",
            "user": str(user.pk) if user else "",
            "username": user.username if user else "",
            "since": time.time() - number,
            "address": "203.0.113.7",
            "app": "js 5.3.5",
            "protocol": "centrifuge",
            "sign_in": "",
            "expires_at": None,
            "rooms": list(in_rooms),
            "unsent_bytes": 0,
            "process": process,
            **fields,
        }
        about = Process(
            id=process,
            host=f"host-of-{process}",
            pid=42,
            server="daphne",
            started_at=1.0,
            version="1",
        )
        async_to_sync(layer.beat)(process, msgspec.json.encode(about), 15)
        written = {known["client"]: msgspec.json.encode(Connection(**known))}
        async_to_sync(layer.write_connections)(process, written, {}, 15)
        return known["client"]

    return _connect


@pytest.fixture
def bob():
    return User.objects.create_user("bob")


@pytest.fixture
def as_staff(client):
    """`as_staff("view_connection")`: the browser of somebody on the staff with these permissions
    of the app, and of Django's users where `view_user` is one of them."""

    def _as(*permissions):
        clerk = User.objects.create_user("clerk", is_staff=True)
        found = Permission.objects.filter(codename__in=permissions)
        assert found.count() == len(permissions)
        clerk.user_permissions.set(found)
        client.force_login(clerk)
        client.user = clerk
        return client

    return _as
