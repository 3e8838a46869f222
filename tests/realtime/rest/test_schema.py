"""The OpenAPI document of the endpoints, which needs drf-spectacular."""

import os
import subprocess
import sys

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from tests.support.processes import ROOT

PATHS = {
    "/realtime/ticket/": "post",
    "/realtime/token/": "post",
    "/realtime/rooms/": "get",
    "/realtime/rooms/{room}/publish/": "post",
    "/realtime/rooms/{room}/history/": "get",
    "/realtime/rooms/{room}/presence/": "get",
}


@pytest.fixture
def document(client):
    GENERATOR_STATS.reset()
    response = client.get("/realtime/schema/")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    return response.json()


def test_each_endpoint_of_this_app_is_described_and_no_other(document):
    described = {path: next(iter(methods)) for path, methods in document["paths"].items()}
    assert {path: described.get(path) for path in PATHS} == PATHS
    assert all(path.startswith("/realtime/") for path in described)
    assert not GENERATOR_STATS


def test_the_document_is_valid(document):
    validate_schema(document)


def test_a_publication_is_described_with_its_errors_and_credentials(document):
    publish = document["paths"]["/realtime/rooms/{room}/publish/"]["post"]
    assert set(publish["responses"]) == {
        *("200", "400", "401", "403", "413", "415", "429", "500", "503"),
    }
    assert {name for each in publish["security"] for name in each} == {
        "realtimeToken",
        "cookieAuth",
    }
    (media_type,) = publish["requestBody"]["content"]
    assert media_type == "application/json"
    message = document["components"]["schemas"]["NewMessage"]
    assert message["required"] == ["data"]


def test_the_query_of_the_history_is_described(document):
    history = document["paths"]["/realtime/rooms/{room}/history/"]["get"]
    assert [it["name"] for it in history["parameters"]] == ["limit", "reverse", "room", "since"]


WITHOUT = """
import sys
sys.modules["drf_spectacular"] = None
import django; django.setup()
from django.test import Client
from django.core.management import call_command
call_command("migrate", verbosity=0)
print(Client().get("/realtime/schema/").status_code, Client().get("/realtime/rooms/").status_code)
"""


def test_everything_else_works_without_it():
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings.own_api"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=env, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "404 401\n", done.stderr
