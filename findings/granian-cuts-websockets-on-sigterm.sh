#!/usr/bin/env bash
# Granian: on SIGTERM, open WebSockets are cut without a close frame.
#
# Packages:  granian 2.8.9, uvicorn 0.54.0, websockets 17.4 (PyPI).
# Valid use: a server that is stopped with SIGTERM, as each deployment does, while clients are connected.
# Expected:  a close frame with 1001 ("going away") or 1012 ("service restart"), RFC 6455, 7.4.1: "An
#            endpoint MUST use [1001] ... such as a server going down". uvicorn sends 1012. And the
#            application gets "websocket.disconnect".
# Happens:   the TCP connection ends with no close frame, so the client reports 1006. The application's
#            coroutine is never continued: `receive()` neither returns "websocket.disconnect" nor is it
#            cancelled. Only the lifespan gets its shutdown event.
# For a site: clients cannot tell a deployment from a lost network, and all come back in the same moment.
#            Code that cleans up after a connection does not run, not even in a `finally`.
# Way around: take the clients away in the proxy before the server is stopped.
#
# Output seen:
#   uvicorn 0.54.0: the client got 1012; the application: disconnect 1012, lifespan.shutdown
#   granian 2.8.9: the client got 1006; the application: lifespan.shutdown
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  granian==2.8.9 uvicorn==0.54.0 websockets==17.4

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
granian=$(try granian venv/bin/granian --interface asgi --host 127.0.0.1)
echo "uvicorn 0.54.0: $uvicorn"
echo "granian 2.8.9: $granian"
[ "$uvicorn" = "the client got 1012; the application: disconnect 1012, lifespan.shutdown" ] &&
  [ "$granian" = "the client got 1006; the application: lifespan.shutdown" ] ||
  { echo "The behaviour has changed." >&2; exit 1; }
