"""Where a credential may stand in a scope, and that there is only one."""

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


def test_without_a_credential_there_is_none():
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
def test_each_way_gives_the_credential(given, way):
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
def test_ambiguous_malformed_and_switched_off_are_refused(given):
    with pytest.raises(AuthenticationError):
        credentials.find(scope(**given))


def test_the_query_and_cookies_are_opt_in(settings):
    cookie = {"headers": [(b"cookie", b"access_token=tok; sessionid=abc")]}
    assert credentials.find(scope(**cookie)) is None
    settings.REALTIME = {"CREDENTIALS": ["query", "cookie"]}
    assert credentials.find(scope(query=b"token=tok")).way == "query"
    assert credentials.find(scope(**cookie)).value == "tok"
    settings.REALTIME = {"CREDENTIALS": ["session"]}
    assert credentials.find(scope(**cookie)).value == "abc"


def test_what_is_given_counts_before_what_a_browser_sends_by_itself(settings):
    settings.REALTIME = {"CREDENTIALS": ["subprotocol", "cookie"]}
    both = scope(
        headers=[(b"cookie", b"access_token=ambient")],
        subprotocols=["realtime.v1", "bearer.given"],
    )
    assert credentials.find(both).value == "given"


def test_the_token_is_never_selected_as_subprotocol():
    assert credentials.selected_subprotocol(scope(subprotocols=["bearer.tok"])) is None
    offered = scope(subprotocols=["bearer.tok", "realtime.v1"])
    assert credentials.selected_subprotocol(offered) == "realtime.v1"


def test_a_credential_does_not_show_in_a_repr():
    assert "tok" not in repr(credentials.Credential("header", "tok"))
