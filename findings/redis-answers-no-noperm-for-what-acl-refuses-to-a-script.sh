#!/usr/bin/env bash
# Redis: what the ACL refuses inside a script is no NOPERM, and its words differ by release.
#
# Package:   redis-server 7.0 and 8.0, valkey-server 8.1 (Debian), redis 8.1.0 (PyPI) as the client.
# Valid use: a user who may use all keys and commands, but no channel, calls PUBLISH: once as a
#            command, once in a script.
# Expected:  the same error, NOPERM, which redis-py raises as NoPermissionError.
# Happens:   the command is refused with NOPERM, the script with ERR, which redis-py raises as
#            ResponseError. The words are "The user executing the script can't publish ..." in 7.0,
#            and "ACL failure in script: No permissions ..." in 8.0 and Valkey.
# For a site: `except NoPermissionError` does not catch it, so a missing right looks like a fault of
#            the script.
# Way around: look for both texts in the message of a ResponseError.
#
# Output seen:
#   Redis 7.0.15
#   PUBLISH: NoPermissionError
#   EVAL: ResponseError
#   The user executing the script can't publish to the channel mentioned in the command
# or, in the last line of Redis 8.0.2 and Valkey 8.1.1:
#   ACL failure in script: No permissions to access a channel
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
command -v redis-server >/dev/null || { echo "redis-server is missing (Debian: redis-server)" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$folder" >/dev/null &
server=$!

"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time

import redis

port = int(sys.argv[1])
admin = redis.Redis(port=port)
for _ in range(100):
    try:
        admin.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.05)
admin.execute_command("ACL", "SETUSER", "site", "on", ">secret", "~*", "resetchannels", "+@all")
site = redis.Redis(port=port, username="site", password="secret")


def outcome(call):
    try:
        call()
    except redis.RedisError as error:
        return error
    return None


command = outcome(lambda: site.publish("room", "hello"))
script = outcome(lambda: site.eval("return redis.call('PUBLISH', ARGV[1], 'hello')", 0, "room"))
print("Redis", admin.info("server")["redis_version"])
print("PUBLISH:", type(command).__name__)
print("EVAL:", type(script).__name__)
print(str(script).rpartition(" script: ")[0])
if type(command).__name__ != "NoPermissionError" or type(script).__name__ != "ResponseError":
    sys.exit("The behaviour has changed.")
PYTHON
