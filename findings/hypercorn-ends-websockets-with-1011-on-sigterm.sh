#!/usr/bin/env bash
# Hypercorn: on SIGTERM, open WebSockets end with 1011, "internal error".
#
# Packages:  hypercorn 0.18.0, uvicorn 0.54.0, websockets 17.4 (PyPI).
# Valid use: a server that is stopped with SIGTERM, as each deployment does, while clients are connected.
# Expected:  a close with 1001 ("going away") or 1012 ("service restart"), and "websocket.disconnect" for
#            the application. uvicorn does both.
# Happens:   Hypercorn waits for `--graceful-timeout` (3 s by default) without a word to the application
#            or its clients. Then it cancels the application, and tells the clients 1011. The worker process
#            gets no SIGTERM that an application could handle: its parent sets a shared flag.
# For a site: monitoring of clients counts each deployment as errors, and all clients come back at once.
# Way around: `--workers 0`, which has no parent: the signal reaches the process, and the application can
#            close its connections within `--graceful-timeout`.
#
# Output seen:
#   uvicorn 0.54.0: the client got 1012; the application: disconnect 1012, lifespan.shutdown
#   hypercorn 0.18.0: the client got 1011; the application: cancelled, lifespan.shutdown
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  hypercorn==0.18.0 uvicorn==0.54.0 websockets==17.4

cat >"$folder/waits.py" <<'PYTHON'
import asyncio
import os


def note(text):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(text + "\n")


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            if event["type"] == "lifespan.shutdown":
                note("lifespan.shutdown")
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "welcome"})
    try:
        event = await receive()
        note(f"disconnect {event.get('code')}")
    except asyncio.CancelledError:
        note("cancelled")
        raise
PYTHON
cat >"$folder/stop.py" <<'PYTHON'
import os
import signal
import socket
import sys
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

port, pid = map(int, sys.argv[1:])
for _ in range(400):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except OSError:
        time.sleep(0.05)
with connect(f"ws://127.0.0.1:{port}/") as websocket:
    websocket.recv()
    os.kill(pid, signal.SIGTERM)
    try:
        websocket.recv(timeout=30)
    except ConnectionClosed as closed:
        print(f"the client got {closed.rcvd.code if closed.rcvd else 1006}", end="")
PYTHON

cat >"$folder/hypercorn_at.py" <<'PYTHON'
import os
import sys

_, port, application = sys.argv[1:]
program = os.path.join(os.path.dirname(sys.executable), "hypercorn")
os.execv(program, [program, "--bind", f"127.0.0.1:{port}", application])
PYTHON

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

try() { # name, command of the server without its port
  local name=$1 port seen
  shift
  port=$(free_port)
  NOTES="$folder/$name.notes" "$@" --port "$port" waits:application >"$name.log" 2>&1 &
  servers+=($!)
  seen=$(venv/bin/python stop.py "$port" $!)
  wait $! 2>/dev/null || true
  echo "$seen; the application: $(paste -sd, "$name.notes" | sed 's/,/, /g')"
}

cd "$folder"
uvicorn=$(try uvicorn venv/bin/uvicorn --log-level warning)
hypercorn=$(try hypercorn venv/bin/python hypercorn_at.py)
echo "uvicorn 0.54.0: $uvicorn"
echo "hypercorn 0.18.0: $hypercorn"
[ "$uvicorn" = "the client got 1012; the application: disconnect 1012, lifespan.shutdown" ] &&
  [ "$hypercorn" = "the client got 1011; the application: cancelled, lifespan.shutdown" ] ||
  { echo "The behaviour has changed." >&2; exit 1; }
