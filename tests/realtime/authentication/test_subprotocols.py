"""The subprotocols that a client offers."""

import pytest

from realtime.authentication import subprotocols
from realtime.authentication.subprotocols import SPOKEN


def scope(*offered):
    return {"type": "websocket", "path": "/ws/", "subprotocols": list(offered)}


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        ([], None),
        ([""], None),
        (["bearer.tok"], None),
        (["bearer.tok", "realtime.v1"], "realtime.v1"),
        (["centrifuge-protobuf", "bearer.tok"], "centrifuge-protobuf"),
        (["graphql-ws", "centrifuge-json", "realtime.v1"], "centrifuge-json"),
        (["realtime.v1", "centrifuge-protobuf"], "realtime.v1"),
        (["centrifuge-protobuf", "realtime.v1"], "centrifuge-protobuf"),
    ],
)
def test_the_first_that_is_spoken_is_selected_and_never_a_token(offered, selected):
    assert subprotocols.selected(scope(*offered)) == selected
    assert subprotocols.refusal(scope(*offered), SPOKEN) is None


@pytest.mark.parametrize("offered", [["graphql-ws"], ["Realtime.v1"], ["bearer.tok", "mqtt"]])
def test_a_client_that_asks_for_another_form_is_refused(offered):
    reason = subprotocols.refusal(scope(*offered), SPOKEN)
    assert reason is not None
    assert "'/ws/' speaks realtime.v1, centrifuge-json, centrifuge-protobuf" in reason


def test_the_reason_names_what_was_asked_for_unless_it_may_be_a_token():
    assert "'graphql-ws'" in subprotocols.refusal(scope("graphql-ws"), SPOKEN)
    for token in ("eyJhbGciOiJIUzI1NiJ9.e30.x", "8f14e45fceea167a5a36dedd4bea2543", "A", "\x1b[2J"):
        reason = subprotocols.refusal(scope(token, "bearer.secret"), SPOKEN)
        assert token not in reason and "secret" not in reason
        assert f"one of {len(token)} characters" in reason


def test_each_path_speaks_its_own():
    plain = ("realtime.v1",)
    assert subprotocols.refusal(scope("centrifuge-protobuf"), plain) is not None
    assert (
        subprotocols.selected(scope("centrifuge-protobuf", "realtime.v1"), plain) == "realtime.v1"
    )
