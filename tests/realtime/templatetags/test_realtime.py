"""The template tags: what they render, for every policy, storage and path."""

from __future__ import annotations

import re
from types import SimpleNamespace

import django
import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.management import call_command
from django.http import HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import set_script_prefix
from django.utils.functional import SimpleLazyObject

from realtime import user_room

MANIFESTS = [
    "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "whitenoise.storage.CompressedManifestStaticFilesStorage",
    f"{__name__}.AggregatingStorage",
]


class AggregatingStorage(ManifestStaticFilesStorage):
    """Follows the imports of modules, as sites may ask Django to do."""

    support_js_module_import_aggregation = True


def render(tag="{% realtime_script %}", **context):
    return Template("{% load realtime %}" + tag).render(Context(context))


def attributes(element):
    """The attributes of one script element."""
    assert element.startswith("<script ") and element.endswith("></script>")
    return dict(re.findall(r'([\w-]+)="([^"]*)"', element))


def test_the_script_is_a_module_with_the_address_of_the_socket():
    element = render()
    assert 'type="module"' in element
    assert " data-realtime " in element
    assert attributes(element)["src"] == "/static/realtime/client.js"
    assert attributes(element)["data-url"] == "/ws/"
    assert "nonce" not in element


def test_a_site_below_a_path(settings):
    set_script_prefix("/shop/")
    settings.STATIC_URL = "static/"
    try:
        rendered = attributes(render())
    finally:
        set_script_prefix("/")
    assert rendered["data-url"] == "/shop/ws/"
    assert rendered["src"] == "/shop/static/realtime/client.js"


@pytest.mark.parametrize("path", ["live/sockets/", "/live/sockets"])
def test_a_socket_at_another_path(path, settings):
    settings.REALTIME = {**settings.REALTIME, "PATH": path}
    assert attributes(render())["data-url"] == "/live/sockets/"


def test_the_personal_room_of_a_user_if_the_page_wants_it(django_user_model):
    user = django_user_model(pk=7)
    tag = "{% realtime_script user=user %}"
    assert attributes(render(tag, user=user))["data-user-room"] == user_room(user)
    assert "data-user-room" not in render(tag, user=AnonymousUser())
    assert "data-user-room" not in render(user=user)


def test_another_address_can_be_given():
    element = render('{% realtime_script url="wss://live.example.com/ws/" %}')
    assert attributes(element)["data-url"] == "wss://live.example.com/ws/"


class LazyNonce(SimpleLazyObject):
    """False until it is read, as those of Django 6 and django-csp are."""

    def __bool__(self):
        return False


def test_the_nonce_of_the_context_of_the_request_or_given():
    request = RequestFactory().get("/")
    request.csp_nonce = LazyNonce(lambda: "of-django-csp")
    assert attributes(render(request=request))["nonce"] == "of-django-csp"
    both = {"request": request, "csp_nonce": LazyNonce(lambda: "of-django-6")}
    assert attributes(render(**both))["nonce"] == "of-django-6"
    given = render('{% realtime_script nonce="given" %}', **both)
    assert attributes(given)["nonce"] == "given"


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 6.0 has a policy of its own")
def test_the_nonce_of_django_without_its_context_processor(settings):
    from django.middleware.csp import ContentSecurityPolicyMiddleware
    from django.utils.csp import CSP

    settings.SECURE_CSP = {"script-src": [CSP.NONCE]}
    respond = ContentSecurityPolicyMiddleware(lambda request: HttpResponse(render(request=request)))
    response = respond(RequestFactory().get("/"))
    nonce = attributes(response.content.decode())["nonce"]
    assert response["Content-Security-Policy"] == f"script-src 'nonce-{nonce}'"


def test_a_nonce_is_escaped():
    assert 'nonce="&quot;&gt;&lt;b"' in render("{% realtime_script nonce=it %}", it='"><b')


def test_advice_is_for_developers_alone(settings):
    user = SimpleNamespace(get_username=lambda: 'al"ice')
    request = SimpleNamespace(user=user, csp_nonce="one")
    settings.DEBUG = False
    rendered = render(request=request)
    assert "ice" not in rendered and "data-debug" not in rendered
    settings.DEBUG = True
    client, advice = render(request=request).split("</script>", 1)
    assert attributes(client + "</script>")["data-debug"] == "1"
    assert attributes(advice)["src"] == "/static/realtime/advice.js"
    assert attributes(advice)["nonce"] == "one"
    assert attributes(advice)["data-diagnosis"] == "/realtime/diagnosis/"
    assert attributes(advice)["data-user"] == "al&quot;ice"
    assert "data-user" not in render(request=SimpleNamespace(user=AnonymousUser()))


def test_a_live_element_without_the_script_says_so_to_developers(settings):
    live = '{% live "lobby" %}'
    settings.DEBUG = True
    assert render(live).startswith(
        "<!-- realtime: this changes by itself on a page with {% realtime_"
    )
    assert "<!--" not in render("{% realtime_script %}" + live)
    settings.DEBUG = False
    assert "<!--" not in render(live)


@pytest.fixture
def collected(settings, tmp_path):
    """`collected(storage)`: the static files of the site, as they are deployed."""

    def _collect(storage):
        settings.DEBUG = False
        settings.STATIC_ROOT = tmp_path
        settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}
        others = ["admin", "rest_framework"]
        call_command("collectstatic", verbosity=0, interactive=False, ignore_patterns=others)
        return tmp_path

    return _collect


@pytest.mark.parametrize("storage", MANIFESTS)
@pytest.mark.parametrize("only_hashed", [False, True])
def test_hashed_files(storage, only_hashed, collected, settings):
    settings.WHITENOISE_KEEP_ONLY_HASHED_FILES = only_hashed
    folder = collected(storage)
    src = attributes(render())["src"]
    assert re.fullmatch(r"/static/realtime/client\.[0-9a-f]{12}\.js", src)
    assert (folder / src.removeprefix("/static/")).is_file()
