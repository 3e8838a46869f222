"""What the tests of polling share."""

import pytest

from realtime.hub.node import close_node, get_node
from realtime.transports.polling_sessions import get_sessions
from tests.support.polling import MessageConsumer


@pytest.fixture
def polling_settings(settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.REALTIME = {
        "ALLOW_ANONYMOUS": True,
        "ALLOWED_ORIGINS": ["https://app.example.com"],
        "CLOSE_SECONDS": 2,
        "FRAME_MAX_BYTES": 10_000,
    }


@pytest.fixture
async def consumer(polling_settings):
    """Opens sessions. Nothing is left of them, whatever way their end is reached."""
    yield MessageConsumer()
    for session in get_sessions()._sessions.copy().values():
        session.end()
    assert not len(get_sessions())
    assert not get_node().sessions
    await close_node()
