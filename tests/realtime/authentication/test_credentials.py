"""The credential of a scope: where it is found, and what is refused."""

import pytest
from django.core.handlers.asgi import ASGIRequest

from realtime.authentication import credentials
from realtime.exceptions import AuthenticationError


def scope(*, headers=(), subprotocols=(), query=b""):
    return {
        "type": "websocket",
        "headers": [(name, value) for name, value in headers],
        "subprotocols": list(subprotocols),
        "query_string": query,
    }


def test_a_scope_without_a_credential_gives_none():
    assert credentials.find(scope()) is None


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({"subprotocols": ["realtime.v1", "bearer.tok"]}, "subprotocol"),
        ({"headers": [(b"authorization", b"Bearer tok")]}, "header"),
        ({"headers": [(b"authorization", b"bearer tok")]}, "header"),
        ({"query": b"ticket=tok"}, "ticket"),
    ],
)
def test_a_credential_is_found_in_each_way(given, way):
    found = credentials.find(scope(**given))
    assert (found.way, found.value) == (way, "tok")


@pytest.mark.parametrize(
    "given",
    [
        {"subprotocols": ["bearer.tok"]},
        {"subprotocols": ["other", "bearer.tok"]},
        {"subprotocols": ["realtime.v1", "bearer.a", "bearer.b"]},
        {
            "subprotocols": ["realtime.v1", "bearer.a"],
            "headers": [(b"authorization", b"Bearer a")],
        },
        {"headers": [(b"authorization", b"Basic x")]},
        {"headers": [(b"authorization", b"Bearer")]},
        {"headers": [(b"authorization", b"Bearer a, Bearer b")]},
        {"headers": [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")]},
        {"query": b"ticket=a&ticket=b"},
        {"query": b"token=tok"},
        {"query": b"ticket=\xff"},
    ],
)
def test_two_malformed_or_disabled_credentials_are_refused(given):
    with pytest.raises(AuthenticationError):
        credentials.find(scope(**given))


def test_a_site_without_sessions_does_not_look_for_them(settings):
    settings.SESSION_ENGINE = "nowhere.sessions"
    given = scope(headers=[(b"cookie", b"sessionid=abc")])
    assert credentials.find(given) is None


def test_query_and_the_cookie_of_a_token_are_opt_in(settings):
    cookie = {"headers": [(b"cookie", b"access_token=tok; sessionid=abc")]}
    assert credentials.find(scope(**cookie)).way == "session"
    settings.REALTIME = {"CREDENTIALS": ["header"]}
    assert credentials.find(scope(**cookie)) is None
    settings.REALTIME = {"CREDENTIALS": ["query", "cookie"]}
    assert credentials.find(scope(query=b"token=tok")).way == "query"
    assert credentials.find(scope(**cookie)).value == "tok"
    settings.REALTIME = {"CREDENTIALS": ["session"]}
    assert credentials.find(scope(**cookie)).value == "abc"


FOREIGN_COOKIES = [
    'consent={"ads":false,"at":[1,2]}',
    "a-flag",
    "=nameless",
    "with space=x y z",
    "name[key]=value",
    'quoted="open',
    "caf\u00e9=\u00e9",
    "path=/app; $Version=1",
    "a,b=c,d",
    "empty=",
    ";;",
    "dots.and:colons/slashes@at=<>?",
]


@pytest.mark.parametrize("other", FOREIGN_COOKIES)
@pytest.mark.parametrize("order", ["before", "after", "both", "another header"])
@pytest.mark.parametrize(
    ("way", "name"),
    [("cookie", "access_token"), ("session", "sessionid")],
    ids=["cookie", "session"],
)
def test_a_cookie_is_found_whatever_stands_beside_it(settings, way, name, order, other):
    settings.REALTIME = {"CREDENTIALS": [way]}
    lines = {
        "before": [f"{other}; {name}=tok"],
        "after": [f"{name}=tok; {other}"],
        "both": [f"{other}; {name}=tok; {other}"],
        "another header": [other, f"{name}=tok"],
    }
    headers = [(b"cookie", line.encode("utf-8")) for line in lines[order]]
    found = credentials.find(scope(headers=headers))
    assert (found.way, found.value) == (way, "tok")


@pytest.mark.parametrize(
    "line",
    ["access_token", "access_token=", "xaccess_token=tok", 'a="x; access_token"', "Access_Token=t"],
)
def test_what_is_not_the_cookie_is_no_credential(settings, line):
    settings.REALTIME = {"CREDENTIALS": ["cookie"]}
    assert credentials.find(scope(headers=[(b"cookie", line.encode())])) is None


@pytest.mark.parametrize(
    "line", ["access_token=a; access_token=b", 'access_token="a b"', 'access_token="a\\073b"']
)
def test_the_value_is_the_one_that_django_reads(settings, line):
    settings.REALTIME = {"CREDENTIALS": ["cookie"]}
    request = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"cookie", line.encode())],
    }
    expected = ASGIRequest(request, None).COOKIES["access_token"]
    assert credentials.find(scope(headers=request["headers"])).value == expected


def test_an_explicit_credential_takes_precedence_over_cookies(settings):
    settings.REALTIME = {"CREDENTIALS": ["subprotocol", "cookie"]}
    both = scope(
        headers=[(b"cookie", b"access_token=ambient")],
        subprotocols=["realtime.v1", "bearer.given"],
    )
    assert credentials.find(both).value == "given"


@pytest.mark.parametrize("form", ["realtime.v1", "centrifuge-json", "centrifuge-protobuf"])
def test_a_bearer_may_stand_beside_each_form(form):
    offered = scope(subprotocols=[form, "bearer.tok"])
    assert credentials.find(offered) == credentials.Credential("subprotocol", "tok")


@pytest.mark.parametrize(
    ("way", "given"),
    [
        ("subprotocol", lambda token: {"subprotocols": ["realtime.v1", f"bearer.{token}"]}),
        ("header", lambda token: {"headers": [(b"authorization", b"Bearer " + token.encode())]}),
        ("cookie", lambda token: {"headers": [(b"cookie", b"access_token=" + token.encode())]}),
        ("query", lambda token: {"query": b"token=" + token.encode()}),
        ("ticket", lambda token: {"query": b"ticket=" + token.encode()}),
    ],
)
def test_a_token_that_is_too_long_for_a_line_is_sent_another_way(settings, way, given):
    settings.REALTIME = {"CREDENTIALS": [way], "TOKEN_MAX_BYTES": 100_000}
    most = credentials.LINE_MAX_BYTES
    assert credentials.find(scope(**given("x" * most))).way == way
    with pytest.raises(AuthenticationError) as refused:
        credentials.find(scope(**given("x" * (most + 1))))
    assert f"by {way}: send it in the connect command, or get a ticket" in str(refused.value)


def test_the_repr_hides_the_credential():
    assert "tok" not in repr(credentials.Credential("header", "tok"))
