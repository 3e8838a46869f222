"""Origins that may open a WebSocket."""

import pytest

from realtime.authentication import origins


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = ["example.com", ".example.org"]
    settings.DEBUG = False


def scope(*origin, host="example.com", scheme="ws", **headers):
    extra = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "headers": [
            (b"host", host.encode()),
            *[(b"origin", value.encode()) for value in origin],
            *extra,
        ],
        "scheme": scheme,
    }


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://example.com", "example.com", "ws"),
        ("http://example.com", "example.com:80", "ws"),
        ("http://example.com:8000", "example.com:8000", "ws"),
        ("https://example.com", "example.com", "wss"),
        ("http://EXAMPLE.com", "example.com", "ws"),
        ("http://a.example.org", "a.example.org", "ws"),
    ],
)
def test_the_origin_of_the_site_is_allowed(origin, host, scheme):
    assert origins.is_allowed(scope(origin, host=host, scheme=scheme))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com",
        "http://example.com:8080",
        "https://example.com",
        "null",
        "",
        "http://example.com/",
        "http://example.com/path",
        "http://user@example.com",
        "http://example.com, http://evil.com",
        "http://example.com.evil.com",
        "http://evil.com#http://example.com",
        "http://example.com:99999",
        "http://[::1",
        "ws://example.com",
        "file://",
    ],
)
def test_other_origins_are_refused(origin):
    assert not origins.is_allowed(scope(origin))


def test_two_origins_are_refused():
    assert not origins.is_allowed(scope("http://example.com", "http://example.com"))


def test_clients_without_an_origin_are_allowed():
    assert origins.is_allowed(scope())


def test_a_host_that_is_not_allowed_gives_no_allowed_origin():
    assert not origins.is_allowed(scope("http://evil.com", host="evil.com"))


def test_configured_origins_are_allowed(settings):
    settings.REALTIME = {"ALLOWED_ORIGINS": ["https://app.example.net"]}
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example.net"]
    assert origins.is_allowed(scope("https://app.example.net"))
    assert origins.is_allowed(scope("https://trusted.example.net"))
    assert not origins.is_allowed(scope("https://other.example.net"))


def test_scheme_and_host_come_from_the_headers_of_a_proxy(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.USE_X_FORWARDED_HOST = True
    proxied = {"host": "inner:8000", "x_forwarded_proto": "https"}
    assert origins.is_allowed(
        scope("https://example.com", x_forwarded_host="example.com", **proxied)
    )
    assert not origins.is_allowed(scope("http://example.com", x_forwarded_proto="https"))
