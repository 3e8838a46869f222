#!/usr/bin/env bash
# Granian: headers that an ASGI application gives to "websocket.accept" are not sent.
#
# Packages:  granian 2.8.9, uvicorn 0.54.0, websockets 17.4 (PyPI).
# Valid use: `headers` in the "websocket.accept" event, for a cookie or a custom header in the answer to
#            the handshake. The ASGI specification has them since its version 2.1, and Granian
#            announces version 2.3 in `scope["asgi"]["spec_version"]`.
# Expected:  the answer with status 101 has these headers, as with uvicorn.
# Happens:   Granian accepts the connection and drops the headers, without an error or a line in its
#            log. The subprotocol of the same event is sent.
# For a site: a session cookie that is set or renewed in the handshake is lost. The next request comes
#            with the old one or with none.
# Way around: set cookies in an HTTP response before the WebSocket is opened. Send the rest as the first
#            message.
#
# Output seen:
#   uvicorn 0.54.0: announces 2.4; subprotocol chat.v1; x-region north; set-cookie session=new
#   granian 2.8.9: announces 2.3; subprotocol chat.v1; x-region None; set-cookie None
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  granian==2.8.9 uvicorn==0.54.0 websockets==17.4

cat >"$folder/accepts.py" <<'PYTHON'
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    await receive()
    headers = [(b"x-region", b"north"), (b"set-cookie", b"session=new")]
    await send({"type": "websocket.accept", "subprotocol": "chat.v1", "headers": headers})
    await send({"type": "websocket.send", "text": scope["asgi"]["spec_version"]})
    await receive()
PYTHON
cat >"$folder/handshake.py" <<'PYTHON'
import socket
import sys
import time

from websockets.sync.client import connect

port = int(sys.argv[1])
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except OSError:
        time.sleep(0.05)
with connect(f"ws://127.0.0.1:{port}/", subprotocols=["chat.v1"]) as websocket:
    headers = websocket.response.headers
    print(
        f"announces {websocket.recv()}; subprotocol {websocket.subprotocol};"
        f" x-region {headers.get('x-region')}; set-cookie {headers.get('set-cookie')}"
    )
PYTHON

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

cd "$folder"
port=$(free_port)
venv/bin/uvicorn accepts:application --port "$port" --log-level warning >uvicorn.log 2>&1 &
servers+=($!)
uvicorn=$(venv/bin/python handshake.py "$port")
port=$(free_port)
venv/bin/granian --interface asgi --host 127.0.0.1 --port "$port" accepts:application >granian.log 2>&1 &
servers+=($!)
granian=$(venv/bin/python handshake.py "$port")
echo "uvicorn 0.54.0: $uvicorn"
echo "granian 2.8.9: $granian"
[ "$uvicorn" = "announces 2.4; subprotocol chat.v1; x-region north; set-cookie session=new" ] &&
  [ "$granian" = "announces 2.3; subprotocol chat.v1; x-region None; set-cookie None" ] ||
  { echo "The behaviour has changed." >&2; exit 1; }
