"""The new key of a session, for processes that know the old one."""

import pytest

from realtime.authentication.sealing import seal, unseal


@pytest.mark.parametrize("key", ["a" * 32, "x", "eyJ:1a:b" * 100])
def test_only_the_old_key_opens_it(key):
    sealed = seal(key, "old")
    assert unseal(sealed, "old") == key
    assert sealed != seal(key, "old"), "the same key looks different each time"
    assert key not in sealed
    assert unseal("", "old") == ""


def test_a_process_with_another_secret_key_reads_nothing(settings):
    sealed = seal("a" * 32, "old")
    settings.SECRET_KEY = "b" * 50
    assert unseal(sealed, "old") == ""
    assert unseal("no hex", "old") == ""
