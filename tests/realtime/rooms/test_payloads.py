"""Payloads: what is too deep is refused by the same rule everywhere, whatever Python allows."""

import pytest

from realtime.exceptions import InvalidPayload
from realtime.rooms.payloads import checked, encode, encode_result

LEVELS = [101, 400, 996, 5_000, 20_000, 32_000]


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def text(levels):
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("levels", LEVELS)
def test_a_payload_that_nests_too_deep_is_refused(levels):
    with pytest.raises(InvalidPayload, match="deeper than 100 levels") as refused:
        checked(text(levels))
    assert refused.value.error.code == 107


@pytest.mark.parametrize("levels", LEVELS)
def test_so_is_a_value_of_the_site(levels):
    with pytest.raises(InvalidPayload):
        encode(nested(levels))
    with pytest.raises(TypeError):
        encode_result(nested(levels))


def test_up_to_the_limit_it_is_accepted():
    assert checked(text(100)) == text(100)
    assert encode(nested(100)) == text(100)


def test_the_limit_is_a_setting(settings):
    settings.REALTIME = {"MESSAGE_MAX_LEVELS": 3}
    assert checked(text(3)) == text(3)
    with pytest.raises(InvalidPayload, match="deeper than 3 levels"):
        checked(text(4))
