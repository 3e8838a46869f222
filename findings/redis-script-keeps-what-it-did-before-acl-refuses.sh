#!/usr/bin/env bash
# Redis: a Lua script that the ACL stops at PUBLISH has already stored what it wrote before.
#
# Package:   redis-server 7 (Debian), redis 8.1.0 (PyPI) as the client.
# Valid use: a script that appends to a stream and publishes, run by a user who may use all keys and
#            commands. New users may use no pub/sub channel: that is the default since Redis 7.
# Expected:  scripts are atomic, so the refused script leaves nothing behind; or EVAL is refused before
#            it runs.
# Happens:   the script ends with an error, and the entry stays in the stream. "Atomic" means only
#            that nothing runs in between: there is no rollback. The number of the message is used.
# For a site: "publish failed" and yet the message is in the history; whoever tries again stores it
#            twice, unless the script looks for an idempotency key.
# Way around: give the user the channels (`ACL SETUSER name &prefix*`), and let the script publish
#            before it writes, or check the right at start-up with `ACL DRYRUN`.
#
# Output seen:
#   Redis 7.0.15
#   EVAL: ResponseError
#   entries in the stream after the error: 1
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
admin.execute_command("ACL", "SETUSER", "site", "on", ">secret", "~*", "+@all")
site = redis.Redis(port=port, username="site", password="secret")
script = """
redis.call('XADD', KEYS[1], '*', 'm', ARGV[2])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""
outcome = "no error"
try:
    site.eval(script, 1, "stream", "room", "hello")
except redis.RedisError as error:
    outcome = type(error).__name__
entries = admin.xlen("stream")
print("Redis", admin.info("server")["redis_version"])
print("EVAL:", outcome)
print("entries in the stream after the error:", entries)
if outcome == "no error" or entries != 1:
    sys.exit("The behaviour has changed.")
PYTHON
