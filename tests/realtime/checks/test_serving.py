"""The checks of the server, the ASGI application and the URLs."""

import sys
import types

import pytest
from django.urls import include, path

from realtime import checks
from realtime.checks import serving
from tests.support.checking import ids


def test_the_example_site_is_fine(settings):
    settings.DEBUG = True
    assert checks.check_runserver() == []
    assert checks.check_asgi_application() == []
    assert checks.check_urls() == []


@pytest.mark.parametrize("winner", ["django.core", "whitenoise.runserver_nostatic"])
def test_a_runserver_without_websockets_is_reported(settings, monkeypatch, winner):
    monkeypatch.setattr(serving, "get_commands", lambda: {"runserver": winner})
    settings.DEBUG = True
    (message,) = checks.check_runserver()
    assert message.id == "realtime.W015"
    assert "behind an app with another runserver" in message.msg
    settings.INSTALLED_APPS = [each for each in settings.INSTALLED_APPS if each != "daphne"]
    assert "not in INSTALLED_APPS" in checks.check_runserver()[0].msg
    settings.DEBUG = False
    assert checks.check_runserver() == []


def test_an_asgi_application_that_is_not_set_is_reported(settings):
    settings.ASGI_APPLICATION = None
    assert ids(checks.check_asgi_application()) == ["realtime.W016"]
    settings.INSTALLED_APPS = [each for each in settings.INSTALLED_APPS if each != "daphne"]
    assert checks.check_asgi_application() == []


@pytest.fixture
def site(tmp_path, monkeypatch, settings):
    """`site(name=source)` writes the modules of a package, and names its ASGI application."""
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "checkedsite"
    package.mkdir()
    (package / "__init__.py").write_text("")

    def _write(**modules):
        for name, source in modules.items():
            (package / f"{name}.py").write_text(source)
        settings.ASGI_APPLICATION = "checkedsite.asgi.application"
        return ids(checks.check_asgi_application())

    yield _write
    assert "checkedsite.asgi" not in sys.modules, "the check has imported it"
    sys.modules.pop("checkedsite", None)


DJANGO = "from django.core.asgi import get_asgi_application\n"


def test_a_missing_application_is_an_error(site):
    assert site() == ["realtime.E017"]
    assert site(asgi=DJANGO + "app = get_asgi_application()") == ["realtime.E017"]


@pytest.mark.parametrize("name", ["nowhere.asgi.application", "application", ".", "a..b"])
def test_an_odd_path_is_an_error(settings, name):
    settings.ASGI_APPLICATION = name
    assert ids(checks.check_asgi_application()) == ["realtime.E017"]


def test_an_application_without_our_sockets_is_reported(site):
    plain = DJANGO + "application = get_asgi_application()\nraise SystemExit"
    assert site(asgi=plain) == ["realtime.W017"]


@pytest.mark.parametrize(
    "modules",
    [
        {"asgi": "from realtime.routing import websocket_application as application"},
        {"asgi": "import realtime.routing\napplication = 1"},
        {"asgi": "from realtime import routing\napplication = 1"},
        {"asgi": "from .sockets import application", "sockets": "from .ws import *",
         "ws": "def application():\n    from realtime.routing import websocket_urlpatterns"},
        {"asgi": "from checkedsite import sockets\napplication = 1",
         "sockets": "load('realtime.routing.websocket_application')"},
        {"asgi": "from .loop import x\napplication = x", "loop": "from . import asgi, loop\n"
         "from realtime.consumers import RealtimeConsumer"},
        {"asgi": "this is no Python"},
    ],
)  # fmt: skip
def test_an_application_with_our_sockets_is_fine(site, modules):
    assert site(**modules) == []


def test_urls_that_are_not_mounted_are_reported(settings):
    urls = types.ModuleType("checked_urls")
    urls.urlpatterns = []
    sys.modules["checked_urls"] = urls
    settings.ROOT_URLCONF = "checked_urls"
    (message,) = checks.check_urls()
    assert message.id == "realtime.W018"
    assert "checked_urls" in message.hint


def test_urls_below_others_are_mounted(settings):
    urls = types.ModuleType("nested_urls")
    urls.urlpatterns = [path("a/", include([path("live/", include("realtime.urls"))]))]
    sys.modules["nested_urls"] = urls
    settings.ROOT_URLCONF = "nested_urls"
    assert checks.check_urls() == []
