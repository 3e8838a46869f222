#!/usr/bin/env bash
# redis-py: the same client retries 10 times or not at all, by the way it is made.
#
# Package:   redis 8.1.0 (PyPI), Redis 7 or later.
# Valid use: a client of one server, made by the constructor or by `from_url()` of the same class.
# Expected:  both have the same defaults; the documentation presents `from_url` as another way to
#            give host, port and password.
# Happens:   `Redis()` retries a failed command 10 times with back-off. `Redis.from_url()` does not
#            retry. A command such as INCR or PUBLISH that was executed, and whose reply was lost, is
#            sent again by the first one.
# For a site: changing `Redis(host=...)` to a URL changes what happens in an outage, and the other
#            way round a message may be published twice.
# Way around: give `retry=` explicitly, in both forms.
#
# Output seen:
#   redis 8.1.0
#   Redis():          10 retries
#   Redis.from_url(): no retry
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import redis
from redis.backoff import NoBackoff




def tries(client):
    retry = client.get_retry()
    if retry is None:
        return 1
    count = 0

    def fail():
        nonlocal count
        count += 1
        raise redis.ConnectionError("away")

    retry._backoff = NoBackoff()  # only the number counts here, not the pauses
    try:
        retry.call_with_retry(fail, lambda error: None)
    except redis.ConnectionError:
        pass
    return count


made, from_url = redis.Redis(port=1), redis.Redis.from_url("redis://localhost:1")
by_constructor, by_url = tries(made) - 1, tries(from_url) - 1
print("redis", version("redis"))
print(f"Redis():          {by_constructor} retries")
print(f"Redis.from_url(): {by_url or 'no'} retry")
if (by_constructor, by_url) != (10, 0):
    sys.exit("The behaviour has changed.")
PYTHON
