"""The credential of a scope: where it is found, and what is refused."""

import pytest

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


def test_query_and_cookies_are_opt_in(settings):
    cookie = {"headers": [(b"cookie", b"access_token=tok; sessionid=abc")]}
    assert credentials.find(scope(**cookie)) is None
    settings.REALTIME = {"CREDENTIALS": ["query", "cookie"]}
    assert credentials.find(scope(query=b"token=tok")).way == "query"
    assert credentials.find(scope(**cookie)).value == "tok"
    settings.REALTIME = {"CREDENTIALS": ["session"]}
    assert credentials.find(scope(**cookie)).value == "abc"


def test_an_explicit_credential_takes_precedence_over_cookies(settings):
    settings.REALTIME = {"CREDENTIALS": ["subprotocol", "cookie"]}
    both = scope(
        headers=[(b"cookie", b"access_token=ambient")],
        subprotocols=["realtime.v1", "bearer.given"],
    )
    assert credentials.find(both).value == "given"


def test_a_subprotocol_with_a_token_is_never_selected():
    assert credentials.selected_subprotocol(scope(subprotocols=["bearer.tok"])) is None
    offered = scope(subprotocols=["bearer.tok", "realtime.v1"])
    assert credentials.selected_subprotocol(offered) == "realtime.v1"


def test_the_repr_hides_the_credential():
    assert "tok" not in repr(credentials.Credential("header", "tok"))
