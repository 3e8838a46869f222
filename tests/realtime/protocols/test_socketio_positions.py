"""Where clients of Socket.IO are in the streams of all their rooms."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.protocols.socketio_positions import Journal, Record, record
from realtime.rooms.publications import Position


class Client:
    """A connection that enters rooms, and keeps the texts that it was sent."""

    def __init__(self, journal):
        self.journal, self.joined, self.received = journal, {}, []

    def join(self, room, offset, missed=0):
        log = self.journal.enter(room, "e")
        begin = self.journal.next()
        for number in range(offset + 1, offset + missed + 1):
            self.received.append((room, number, self.journal.replayed(room, number, "e")))
        end = self.journal.next()
        log.add(end, offset + missed)
        self.joined[room] = (log, begin, end, offset)

    def record(self):
        from realtime.protocols.socketio_positions import Joined

        made = record("1", self.journal, [(n, Joined(*each)) for n, each in self.joined.items()])
        return msgspec.json.decode(msgspec.json.encode(made), type=Record)


ROOMS = ("a", "b.c", "d")


@given(st.lists(st.sampled_from([*ROOMS, "join a", "join b.c", "join d"]), max_size=30), st.data())
def test_the_last_text_gives_the_position_in_each_room(steps, data):
    journal, offsets = Journal(), dict.fromkeys(ROOMS, 0)
    # Another connection is in all rooms, and this one comes to each at some time.
    other, client = Client(journal), Client(journal)
    for room in ROOMS:
        other.join(room, 0)
    for step in steps:
        if step.startswith("join "):
            room = step[5:]
            if room not in client.joined:
                missed = data.draw(st.integers(0, offsets[room]))
                client.join(room, offsets[room] - missed, missed)
            continue
        offsets[step] += 1
        text = journal.text(step, offsets[step])
        if step in client.joined:
            client.received.append((step, offsets[step], text))
    expected = {room: Position("e", each[3]) for room, each in client.joined.items()}
    made = client.record()
    assert made.positions(None) == expected
    for room, offset, text in client.received:
        expected[room] = Position("e", offset)
        found = made.positions(text)
        # A room that it has entered later begins where it was entered.
        assert found == expected


def test_a_room_with_more_messages_than_can_be_recovered_is_not_known(settings):
    settings.REALTIME = {**settings.REALTIME, "RECOVERY_MAX_MESSAGES": 5}
    journal = Journal()
    client = Client(journal)
    client.join("quiet", 0)
    client.join("busy", 0)
    first = journal.text("quiet", 1)
    texts = [journal.text("busy", offset) for offset in range(1, 21)]
    made = client.record()
    assert made.positions(first) is None
    assert made.positions(texts[-1]) == {"quiet": Position("e", 1), "busy": Position("e", 20)}


def test_an_other_epoch_is_another_stream():
    journal = Journal()
    client = Client(journal)
    client.join("a", 0)
    text = journal.text("a", 1).replace(".e.", ".f.")
    assert client.record().positions(text) is None


@pytest.mark.parametrize("text", ["", "x", "a.1.2.e", f"{12 * 'a'}.x.2.e.r"])
def test_other_texts_are_no_positions(text):
    client = Client(Journal())
    client.join("a", 0)
    assert client.record().positions(text) is None


def test_rooms_that_nobody_is_in_are_forgotten():
    journal = Journal()
    logs = [journal.enter("a", "e"), journal.enter("a", "e")]
    for log in logs:
        assert "a" in journal.logs
        journal.leave("a", log)
    assert not journal.logs
    assert ".." in journal.text("a", 1)
