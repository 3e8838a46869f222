"""The benchmark counts correctly and reports invalid measurements. Speed is not tested."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import comparisons, costs, features, wire
from benchmarks.connections import Address, Connection
from benchmarks.dialects import DIALECTS
from benchmarks.flights import Flight, Lane
from benchmarks.machine import Cores
from benchmarks.outcomes import Outcome
from benchmarks.peers import PEERS
from benchmarks.regimes import SHORT
from benchmarks.report import Report
from benchmarks.rig import Rig
from benchmarks.rows import Row, compare, verdicts
from benchmarks.wire import Intake, Opcode
from tests.support import processes

PING = b"{}"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def regime(name, /, **changes):
    return replace(next(regime for regime in SHORT if regime.name == name), **changes)


def from_server(payload, opcode=Opcode.TEXT):
    """A frame as servers send it: without a mask."""
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    return bytes((0x80 | opcode, 126)) + len(payload).to_bytes(2, "big") + payload


def push(number, offset=None, size=20):
    data = {"data": wire.text(number, size), "offset": number + 1 if offset is None else offset}
    return json.dumps({"push": {"channel": "hall0", "pub": data}}, separators=(",", ":")).encode()


# Counting

messages = st.builds(push, st.integers(0, 999), size=st.sampled_from((17, 64, 300, 5_000)))
replies = st.just(b'{"id":7,"publish":{}}')
frames = st.one_of(
    st.tuples(
        st.just(Opcode.TEXT),
        st.lists(st.one_of(messages, replies, st.just(PING)), min_size=1, max_size=5),
    ),
    st.tuples(st.sampled_from((Opcode.PING, Opcode.PONG)), st.just([b"ping"])),
    st.tuples(st.just(Opcode.TEXT), st.just([b"2"])),
)


@given(
    st.lists(frames, max_size=8),
    st.lists(st.one_of(st.integers(1, 60), st.just(9_000)), min_size=1, max_size=20),
)
def test_whatever_the_chunks_messages_and_pings_are_counted_once(sent, sizes):
    stream = b"".join(from_server(b"\n".join(lines), opcode) for opcode, lines in sent)
    intake, count, number = Intake(line=PING), 0, 0
    while stream:
        size = sizes[number % len(sizes)]
        count += intake.feed(stream[:size])
        stream, number = stream[size:], number + 1
    lines = [line for _, lines in sent for line in lines]
    assert count == sum(wire.MARKER in line for line in lines)
    pings = intake.lines + intake.short.count((Opcode.TEXT, PING))
    assert pings == lines.count(PING)
    control = [(opcode, payload) for opcode, payload in intake.short if opcode >= Opcode.CLOSE]
    assert control == [(opcode, lines[0]) for opcode, lines in sent if opcode >= Opcode.CLOSE]
    assert intake.short.count((Opcode.TEXT, b"2")) == lines.count(b"2")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 60, 9_000])
def test_a_ping_at_the_end_of_a_binary_frame_is_counted_whatever_the_chunks(size):
    message = b"\x20\x22" + wire.text(5, 200).encode() + b"\x30\x05"
    frames = [message, message + b"\x00", b"\x00", message * 3 + b"\x00", message]
    stream = b"".join(from_server(each, Opcode.BINARY) for each in frames)
    intake = Intake(ending=b"\x00")
    count = sum(intake.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert (count, intake.lines, intake.short) == (6, 2, [(Opcode.BINARY, b"\x00")])


class Transport(list):
    """A transport that keeps the bytes that a connection wrote."""

    write = list.append


async def joined_client():
    """A client of ours that is in its room, without a server."""
    client = Connection(DIALECTS["realtime"], Address(1, "hall0", "token"))
    client.connection_made(Transport())
    client.data_received(UPGRADED)
    client.data_received(from_server(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"offset":0}}'))
    await client.joined
    return client


async def test_a_client_answers_each_ping_of_the_server():
    client = await joined_client()
    written = client._transport
    written.clear()
    client.data_received(from_server(PING))
    client.data_received(from_server(push(0) + b"\n" + PING) + from_server(PING))
    client.data_received(from_server(b"abcd", Opcode.PING))
    assert written == [
        *[wire.frame(PING)] * 3,
        wire.frame(b"abcd", Opcode.PONG),
    ]


@pytest.mark.parametrize(
    ("arrived", "found"),
    [
        ([push(0), push(1)], []),
        ([push(0)], ["3 of 4 deliveries came"]),
        ([push(0), push(1), push(1)], ["5 of 4 deliveries came", "a member got messages twice"]),
        ([push(0), push(0)], ["a member got messages twice"]),
        (
            [push(0, offset=8), push(1, offset=7), push(0, offset=9)],
            [
                "5 of 4 deliveries came",
                "a member got messages twice",
                "a member got messages out of order",
            ],
        ),
    ],
    ids=["all", "lost", "doubled", "another one twice", "out of order"],
)
async def test_a_flight_tells_what_did_not_arrive_exactly_once_and_in_order(arrived, found):
    client, other = await joined_client(), await joined_client()
    flight = Flight([Lane([client, other])], window=1, size=20, messages=2)
    flight.start()
    for number in range(2):
        other.data_received(from_server(push(number)))
        for frame in arrived[number : number + 1] if number == 0 else arrived[1:]:
            client.data_received(from_server(frame))
    assert flight.problems() == found


async def test_the_next_message_waits_until_all_members_have_the_earlier_one():
    members = [await joined_client() for _ in range(3)]
    flight = Flight([Lane(members)], window=1, size=20)
    flight.start()
    for member in members[:2]:
        member.data_received(from_server(push(0)))
    assert flight.sent == 1
    members[2].data_received(from_server(push(0)))
    assert flight.sent == 2


# A run


def test_a_tiny_run_against_our_server_counts_every_delivery(tmp_path):
    flight = regime("one", members=5, window=2)
    echo, storm = regime("echo", seconds=0.05), regime("handshakes", members=5)
    closed = regime("one", name="closed", prefix="nowhere", members=5)
    rig = Rig(tmp_path, Cores.choose())
    rig.populate([flight, echo, storm])
    outcomes = rig.measure(PEERS["ours-uvicorn"], [flight, echo, storm, closed], messages=20)
    refused = outcomes.pop("closed")
    assert "permission denied" in refused.problems[0] and not refused.figures
    assert [outcome.problems for outcome in outcomes.values()] == [[], [], []]
    figures = outcomes["one"].figures
    assert (figures["messages"], figures["units"]) == (20, 100)
    assert figures["cpu_us"] > 0 and 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert outcomes["echo"].figures["units"] > 0
    assert outcomes["handshakes"].figures["units"] == 5


# The report


def rows(**rates):
    sixteen = regime("sixteen")
    found = [
        Row(sixteen, PEERS[name.replace("_", "-")], [Outcome({"rate": rate}) for rate in values])
        for name, values in rates.items()
    ]
    compare(found)
    return found


def test_a_row_has_the_median_of_its_rounds_and_what_ours_gains():
    ours, peer = rows(ours_uvicorn=[600.0, 100.0, 500.0], socketio=[90.0, 100.0, 110.0])
    assert (ours.figures["rate"], peer.figures["rate"]) == (500, 100)
    assert (ours.gain, peer.gain) == (1, 5)


@pytest.mark.parametrize(("rate", "told"), [(500.0, "met"), (499.0, "MISSED")])
def test_a_target_that_is_missed_is_said_to_be_missed(rate, told):
    measured = rows(ours_uvicorn=[rate], socketio=[100.0])
    assert [verdict.is_met for verdict in verdicts(measured)] == [told == "met"]
    report = Report(begun=datetime.now(UTC), conditions={"machine": {}}, rows=measured)
    assert report.as_text().splitlines()[-1].endswith(told)


def test_one_round_that_lost_something_makes_the_row_invalid():
    ours, peer = rows(ours_uvicorn=[600.0], socketio=[90.0, 100.0])
    peer.outcomes[0].problems.append("89 of 90 deliveries came")
    compare([ours, peer])
    assert (peer.value, peer.gain) == (None, None)
    assert "INVALID: 89 of 90 deliveries came" in peer.notes


# How soon a right that was taken away is gone


def test_nothing_comes_after_the_end_of_a_right_was_told():
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.revocation", "--revocations", "6", "--members", "6"]
        + ["--json"],
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
    )
    figures = json.loads(finished.stdout)
    assert figures["revocations"] == 6
    assert figures["messages after the end was told"] == 0


# What each feature costs


def test_each_feature_is_measured_with_and_without_it_and_all_that_was_sent_arrives(tmp_path):
    scale = comparisons.Scale(members=3, rooms=2, joins=3, newcomers=2, handshakes=4, messages=12)
    compared = [
        each for each in comparisons.COMPARISONS if each.off[0] in (comparisons.FULL, each.on[0])
    ]
    outcomes = features.measure(tmp_path, Cores.choose(), compared, scale, rounds=1)
    measured = [costs.cost(comparison, outcomes) for comparison in compared]
    assert [each.problems for each in measured] == [[]] * len(compared)
    assert all(each.on > 0 and each.off > 0 for each in measured)
    full = {name: found[0].figures for (server, name), found in outcomes.items()}
    for kind in ("", " unkept", " unlisted", " plain"):
        assert (full["message" + kind]["messages"], full["message" + kind]["units"]) == (12, 12)
        assert (full["delivery" + kind]["messages"], full["delivery" + kind]["units"]) == (12, 36)
    assert (full["entry watched"]["units"], full["connect anonymous"]["units"]) == (2, 4)
    assert (full["join cold"]["queries"], full["join"]["queries"]) == (1, 0)


@pytest.mark.parametrize(
    ("on", "off", "told"),
    [
        ([9, 12, 10, 11, 7], [8, 8, 8, 8, 8], "+2.00"),
        ([9, 12, 10, 7, 7], [8, 8, 8, 8, 8], "unclear"),
    ],
    ids=["the rounds agree", "they don't"],
)
def test_a_cost_is_told_only_where_the_rounds_agree(on, off, told):
    comparison = comparisons.COMPARISONS[0]
    outcomes = {
        (server.name, name): [Outcome({"cpu_us": float(figure)}) for figure in values]
        for (server, name), values in ((comparison.on, on), (comparison.off, off))
    }
    assert told in costs.table([costs.cost(comparison, outcomes)])[1]


def test_a_feature_with_a_round_that_lost_something_has_no_cost():
    comparison = comparisons.COMPARISONS[0]
    outcomes = {
        (server.name, name): [Outcome({"cpu_us": 1.0}, ["1 of 2 deliveries came"])]
        for server, name in (comparison.on, comparison.off)
    }
    lines = costs.table([costs.cost(comparison, outcomes)])
    assert "INVALID" in lines[1] and lines[2].endswith("message: 1 of 2 deliveries came")
