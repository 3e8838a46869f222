"""The modules of the page, with storages that put hashes into names, and its policy."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import urljoin

import pytest
from django.core.management import call_command
from django.templatetags.static import static

from realtime.playground import modules

IMPORT = re.compile(r'^import [^;]*? from "([^"]+)";', re.MULTILINE)


@pytest.fixture
def hashed_files(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }
    ignored = ["admin", "rest_framework"]
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=ignored)
    return tmp_path


def test_every_import_leads_to_a_hashed_file(hashed_files):
    imports = json.loads(modules.import_map())["imports"]
    found, to_read = set(), {static(modules.ENTRY)}
    while to_read:
        url = to_read.pop()
        assert re.search(r"\.[0-9a-f]{12}\.js$", url), url
        found.add(url)
        source = (hashed_files / Path(url).relative_to("/static")).read_text()
        to_read |= {imports[urljoin(url, name)] for name in IMPORT.findall(source)} - found
    assert len(found) == len(list(modules.FOLDER.glob("*.js"))) + 1


def test_the_policy_allows_the_import_map_and_nothing_else_inline(hashed_files):
    text = modules.import_map()
    digest = b64encode(sha256(text.encode()).digest()).decode()
    policy = modules.content_security_policy(text)
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "unsafe" not in policy


def test_plain_names_need_no_import_map():
    assert modules.import_map() == ""
    assert "script-src 'self';" in modules.content_security_policy("")


def test_files_on_another_host_are_allowed(monkeypatch):
    monkeypatch.setattr(modules, "static", "https://static.example.com/s/{}".format)
    policy = modules.content_security_policy("")
    assert "script-src 'self' https://static.example.com;" in policy
    assert "style-src 'self' https://static.example.com;" in policy
