"""Origins that may open a WebSocket."""

import itertools

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.middleware.csrf import CsrfViewMiddleware

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
        ("ws://example.com", "example.com", "ws"),
        ("wss://example.com", "example.com", "wss"),
        ("wss://example.com:443", "example.com", "wss"),
        ("ws://example.com:8000", "example.com:8000", "ws"),
        ("http://example.com", "example.com", None),
    ],
)
def test_the_origin_of_the_site_is_allowed(origin, host, scheme):
    assert origins.refusal(scope(origin, host=host, scheme=scheme)) is None


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
        "wss://example.com",
        "ws://evil.com",
        "ftp://example.com",
        "capacitor://localhost",
        "file://",
    ],
)
def test_other_origins_are_refused(origin):
    assert origins.refusal(scope(origin))


def test_two_origins_are_refused():
    assert origins.refusal(scope("http://example.com", "http://example.com"))


def test_clients_without_an_origin_are_allowed():
    assert origins.refusal(scope()) is None


def test_a_host_that_is_not_allowed_gives_no_allowed_origin():
    assert origins.refusal(scope("http://evil.com", host="evil.com"))


def test_configured_origins_are_allowed(settings):
    settings.REALTIME = {"ALLOWED_ORIGINS": ["https://app.example.net"]}
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example.net"]
    assert origins.refusal(scope("https://app.example.net")) is None
    assert origins.refusal(scope("https://trusted.example.net")) is None
    assert origins.refusal(scope("https://other.example.net"))


def test_scheme_and_host_come_from_the_headers_of_a_proxy(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.USE_X_FORWARDED_HOST = True
    proxied = {"host": "inner:8000", "x_forwarded_proto": "https"}
    own = scope("https://example.com", x_forwarded_host="example.com", **proxied)
    assert origins.refusal(own) is None
    assert origins.refusal(scope("http://example.com", x_forwarded_proto="https"))


TRAEFIK = {"host": "example.com", "x_forwarded_proto": "wss"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://example.com", True), ("wss://example.com", True), ("http://example.com", False)],
)
def test_traefik_says_wss_where_others_say_https(settings, origin, allowed):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert (origins.refusal(scope(origin, **TRAEFIK)) is None) is allowed


def test_a_forwarded_ws_is_not_secure(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    plain = {"scheme": "wss", "x_forwarded_proto": "ws"}
    assert origins.refusal(scope("http://example.com", **plain)) is None
    assert origins.refusal(scope("https://example.com", **plain))


def test_headers_of_a_proxy_count_only_if_the_site_trusts_them():
    forged = {"x_forwarded_proto": "https", "x_forwarded_host": "example.com"}
    assert origins.refusal(scope("https://example.com", **forged))
    assert origins.refusal(scope("http://example.com", host="evil.com", **forged))


@pytest.mark.parametrize(
    "entry",
    ["capacitor://localhost", "ionic://localhost", "tauri://localhost", "file://", "app://-"],
)
@pytest.mark.parametrize("setting", ["ALLOWED_ORIGINS", "CSRF_TRUSTED_ORIGINS"])
def test_apps_have_schemes_of_their_own(settings, entry, setting):
    assert origins.refusal(scope(entry))
    if setting == "ALLOWED_ORIGINS":
        settings.REALTIME = {"ALLOWED_ORIGINS": [entry]}
    else:
        settings.CSRF_TRUSTED_ORIGINS = [entry]
    assert origins.refusal(scope(entry)) is None
    assert origins.refusal(scope(entry + "x" if entry != "file://" else "file://x"))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://example.net", True),
        ("https://a.example.net", True),
        ("https://a.b.example.net", True),
        ("wss://a.example.net", True),
        ("https://a.example.net:443", True),
        ("http://a.example.net", False),
        ("https://a.example.net:8443", False),
        ("https://evilexample.net", False),
        ("https://a.example.net.evil.com", False),
    ],
)
def test_a_star_stands_for_subdomains(settings, origin, allowed):
    settings.REALTIME = {"ALLOWED_ORIGINS": ["https://*.example.net"]}
    assert (origins.refusal(scope(origin)) is None) is allowed


GIVEN = [
    "https://example.com",
    "http://example.com",
    "https://example.com:8443",
    "http://example.com:8000",
    "https://a.example.net",
    "https://a.example.net:8443",
    "http://a.example.net",
    "https://evilexample.net",
    "capacitor://localhost",
    "null",
    "https://example.com/",
    "https://[::1",
]
HOSTS = ["example.com", "example.com:8443", "example.com:8000", "evil.com", "inner:8000"]
FORWARDED = [{}, {"x_forwarded_proto": "https"}, {"x_forwarded_proto": "http"}]
FORWARDED += [{"x_forwarded_host": "example.com", "x_forwarded_proto": "https, http"}]
FORWARDED += [{"x_forwarded_host": "example.com, inner"}]
TRUSTED = [[], ["https://*.example.net", "capacitor://localhost"], ["https://*.example.net:8443"]]


@pytest.mark.parametrize("ssl_header", [None, ("HTTP_X_FORWARDED_PROTO", "https")])
@pytest.mark.parametrize("forwarded_host", [False, True])
@pytest.mark.parametrize("trusted", TRUSTED, ids=len)
def test_the_rule_is_that_of_djangos_csrf_check(settings, ssl_header, forwarded_host, trusted):
    settings.SECURE_PROXY_SSL_HEADER = ssl_header
    settings.USE_X_FORWARDED_HOST = forwarded_host
    settings.CSRF_TRUSTED_ORIGINS = trusted
    taken = 0
    for origin, host, secure, more in itertools.product(GIVEN, HOSTS, [False, True], FORWARDED):
        ours = scope(origin, host=host, scheme="wss" if secure else "ws", **more)
        theirs = {**ours, "scheme": "https" if secure else "http", "method": "POST", "path": "/"}
        # Not public, but the only way to ask Django.
        django = CsrfViewMiddleware(lambda request: None)._origin_verified(
            ASGIRequest(theirs, None)
        )
        assert (origins.refusal(ours) is None) is django, (origin, host, secure, more)
        taken += django
    assert taken > 10


@pytest.mark.parametrize(
    ("origin", "sent", "words"),
    [
        (
            "https://example.com",
            {},
            ["'https://example.com'", "http://example.com", "SECURE_PROXY"],
        ),
        ("http://example.com:8080", {}, ["http://example.com,", "only the port differs"]),
        ("http://evil.com", {}, ["'http://evil.com'", "http://example.com,", "ALLOWED_ORIGINS"]),
        ("http://example.com", {"host": "inner"}, ["inner", "ALLOWED_HOSTS"]),
        ("http://x\r\n\x1b[31m", {}, [r"'http://x\r\n\x1b[31m'", "not an origin"]),
    ],
)
def test_a_refusal_says_what_came_what_was_expected_and_why(origin, sent, words):
    reason = origins.refusal(scope(origin, **sent))
    for word in words:
        assert word in reason


def test_a_long_origin_is_cut_in_the_log():
    assert len(origins.refusal(scope("http://" + "a" * 8_000))) < 1_000
