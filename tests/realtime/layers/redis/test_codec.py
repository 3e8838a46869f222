"""Publications and infos as bytes."""

import pytest
from channels_redis.serializers import registry

from realtime.layers.redis.codec import PUBLICATION_MARK, Codec


@pytest.fixture(params=[None, ["k" * 32]], ids=["plain", "encrypted"])
def codec(request):
    serializer = registry.get_serializer("msgpack", symmetric_encryption_keys=request.param)
    return Codec(serializer, is_encrypted=request.param is not None)


BODIES = [b"", b"{}", b"\n:\n", b"\xc1\x00\xff"]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("room", ["lobby", "süd/1", "a:b"])
def test_a_publication_is_read_as_it_was_written(codec, room, body):
    stored = codec.pack_publication(room, body)
    assert codec.unpack_publication(stored) == (room, body)
    broadcast = b"%b12:abcdef01\n%b" % (PUBLICATION_MARK, stored)
    read = codec.read_broadcast(broadcast)
    assert read[:2] == (room, "abcdef01")
    assert (read[2].offset, read[2].body) == (12, body)


@pytest.mark.parametrize("info", BODIES)
def test_an_info_is_read_as_it_was_written(codec, info):
    assert codec.unpack_info(codec.pack_info(info)) == info


def test_nothing_is_readable_if_the_site_has_keys():
    codec = Codec(registry.get_serializer("msgpack", symmetric_encryption_keys=["k" * 32]), True)
    assert b"secret" not in codec.pack_publication("secret room", b"secret") + codec.pack_info(
        b"secret"
    )


def test_no_other_message_begins_with_the_mark():
    serializer = registry.get_serializer("msgpack")
    for message in ({}, {"type": "t"}, {str(n): n for n in range(100_000)}):
        assert serializer.serialize(message)[:1] != PUBLICATION_MARK
