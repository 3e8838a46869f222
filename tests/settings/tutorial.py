"""The base settings of the tests, with the channel layer that the Channels tutorial recommends."""

import os

from tests.settings.base import *  # noqa: F403

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            # Without it every idle socket dies after 5 s, with redis-py 8.
            "hosts": [{"address": os.environ["REDIS_URL"], "socket_timeout": None}],
            "prefix": os.environ["REDIS_PREFIX"],
        },
    }
}
