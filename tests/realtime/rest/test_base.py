"""What holds for all endpoints, whatever the site has chosen for its own API."""

import os
import subprocess
import sys

import pytest
from rest_framework_simplejwt.settings import api_settings

from realtime.models import Room
from tests.support.processes import ROOT

VISIT = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django.test import Client
User.objects.create_user("alice", password="secret")
visitor, ask = Client(), {"content_type": "application/json"}
print(visitor.post("/api/token/", {"username": "alice", "password": "wrong"}, **ask).status_code)
pair = visitor.post("/api/token/", {"username": "alice", "password": "secret"}, **ask).json()
fresh = visitor.post("/api/token/refresh/", {"refresh": pair["refresh"]}, **ask).json()
print(visitor.post("/api/token/verify/", {"token": fresh["access"]}, **ask).status_code)
print(visitor.get("/realtime/rooms/").status_code)
bearer = {"headers": {"Authorization": "Bearer " + fresh["access"]}}
print(sorted(visitor.get("/realtime/rooms/", **bearer).json()))
print(sorted(visitor.post("/realtime/ticket/", **bearer).json()))
print(visitor.post("/api/logout/", {"refresh": fresh["refresh"]}, **ask).status_code)
"""


def test_the_defaults_of_a_site_for_its_own_api_change_nothing():
    # DRF reads them when its views are imported, so that takes another process.
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings.own_api"}
    done = subprocess.run(
        [sys.executable, "-c", VISIT], env=env, cwd=ROOT, capture_output=True, text=True
    )
    expected = ["401", "200", "401", "['rooms']", "['expires_in', 'ticket']", "200"]
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.django_db
@pytest.mark.parametrize("is_by_token", [True, False])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "rooms/"),
        ("get", "rooms/lobby/history/"),
        ("get", "rooms/lobby/presence/"),
        ("post", "rooms/lobby/publish/"),
        ("post", "ticket/"),
        ("post", "token/"),
    ],
)
def test_whom_the_rule_of_the_site_refuses_gets_nothing(
    client, alice, bearer, monkeypatch, method, path, is_by_token
):
    Room.objects.create(name="lobby", access="authenticated")
    monkeypatch.setattr(api_settings, "USER_AUTHENTICATION_RULE", lambda user: False)
    headers = {}
    if is_by_token:
        headers = bearer()["headers"]
    else:
        client.force_login(alice)
    body = {"data": {"data": 1}, "content_type": "application/json"} if method == "post" else {}
    response = getattr(client, method)(f"/realtime/{path}", headers=headers, **body)
    assert response.status_code in (401, 403)
    assert set(response.json()) == {"detail", "code"}
