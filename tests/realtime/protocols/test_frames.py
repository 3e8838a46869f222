import pytest

from realtime.protocols.frames import join, messages_of, size_of


@pytest.mark.parametrize(
    ("frames", "separator", "joined"),
    [
        (["a"], "\n", "a"),
        (["a", "b"], "\n", "a\nb"),
        ([b"\x01a", b"\x01b"], b"", b"\x01a\x01b"),
        (["a"], None, "a"),
        (["a", "b"], None, ("a", "b")),
        ([("a", b"1"), "b", ("c", b"2")], None, ("a", b"1", "b", "c", b"2")),
    ],
)
def test_frames_are_one_message_where_the_protocol_can_divide_it(frames, separator, joined):
    assert join(frames, separator) == joined


@pytest.mark.parametrize(
    ("frame", "size"),
    [("", 0), ("ab", 2), ("ä", 2), (b"\xff\x00", 2), (("ä", b"\x00", ""), 3)],
)
def test_the_size_of_a_frame_is_counted_in_bytes(frame, size):
    assert size_of(frame) == size


def test_one_message_is_a_frame_too():
    assert messages_of("a") == ("a",)
    assert messages_of(("a", b"b")) == ("a", b"b")
