#!/usr/bin/env bash
# channels_redis: a consumer that waits for a message fails after five idle seconds with redis-py 8.
#
# Packages:  channels_redis 4.3.0, channels 4.3.2, redis 8.1.0 (PyPI); redis-server (Debian).
# Valid use: the layer `channels_redis.core.RedisChannelLayer` with its documented configuration,
#            `hosts: [url]`, and a consumer that waits for messages that seldom come.
# Expected:  `receive()` waits until there is a message.
# Happens:   redis-py 8 gives connections a `socket_timeout` of 5 s if none is set. `receive()` uses
#            BZPOPMIN with a time-out of 5 s, so the client gives up at the moment at which the
#            server would answer, and `TimeoutError` reaches the consumer.
# For a site: every WebSocket to which nothing is sent for five seconds is closed with an error.
# Way around: `"hosts": [{"address": url, "socket_timeout": None}]`, or the layer in
#            `channels_redis.pubsub`, which does not wait in this way.
#
# Output seen:
#   channels_redis 4.3.0, redis 8.1.0
#   default:               TimeoutError after 5 s
#   socket_timeout = None: still waiting after 8 s
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
command -v redis-server >/dev/null || { echo "redis-server is missing (Debian: redis-server)" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  channels_redis==4.3.0 channels==4.3.2 redis==8.1.0 'Django>=5.2,<5.3'

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$folder" >/dev/null &
server=$!

"$folder/venv/bin/python" - "$port" <<'PYTHON'
import asyncio
import sys
import time
from importlib.metadata import version

import redis
from channels_redis.core import RedisChannelLayer

url = f"redis://127.0.0.1:{sys.argv[1]}"
client = redis.Redis.from_url(url)
for _ in range(100):
    try:
        client.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.05)


async def wait_idle(host, seconds=8):
    """The name of the error that ends an idle `receive`, and after how many seconds."""
    layer = RedisChannelLayer(hosts=[host])
    begun = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            await layer.receive(await layer.new_channel())
    except TimeoutError as error:
        took = time.monotonic() - begun
        return None if took > seconds - 1 else type(error).__name__, round(took)
    except redis.TimeoutError as error:
        return type(error).__name__, round(time.monotonic() - begun)


async def main():
    print(f"channels_redis {version('channels_redis')}, redis {version('redis')}")
    failed, took = await wait_idle(url)
    print(f"default:               {failed} after {took} s")
    cured, took_cured = await wait_idle({"address": url, "socket_timeout": None})
    print(f"socket_timeout = None: {cured or 'still waiting'} after {took_cured} s")
    if not failed or cured:
        sys.exit("The behaviour has changed.")


asyncio.run(main())
PYTHON
