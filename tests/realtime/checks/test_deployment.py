"""The checks of `manage.py check --deploy`."""

from realtime import checks
from tests.support.checking import ids


def test_a_deployment_is_warned_of_what_is_not_for_it(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    settings.REALTIME = {"CREDENTIALS": ["query"]}
    expected = ["realtime.W002", "realtime.W004"]
    assert ids(checks.check_deployment()) == expected
