#!/usr/bin/env bash
# Daphne: the path of a WebSocket loses what follows a semicolon; the path of an HTTP request keeps it.
#
# Packages:  daphne 4.2.3, autobahn 26.10.2, Twisted 26.10.0 (PyPI).
# Valid use: a WebSocket address with a semicolon in the last part of its path: `/rooms/tea;v=2`.
# Expected:  `scope["path"]` is `/rooms/tea;v=2`. RFC 3986 (section 3.3) allows a semicolon in a path,
#            and the path ends only at `?` or `#`. ASGI: the path is the request target without the
#            query string.
# Happens:   the WebSocket application sees `/rooms/tea` as `path` and as `raw_path`, and `;v=2` is
#            nowhere in the scope. An HTTP request for the same address keeps it. Autobahn splits
#            the address into path and "parameters", and Daphne takes only the path.
# For a site: `/rooms/tea;v=1` and `/rooms/tea;v=2` are one room over WebSockets and two over HTTP. A
#            route that expects the semicolon does not match.
# Way around: write `%3B` in the address (it arrives as a semicolon), or use the query string.
#
# Output seen:
#   daphne 4.2.3, autobahn 26.10.2
#   HTTP       /rooms/tea;v=2    path: /rooms/tea;v=2    raw_path: /rooms/tea;v=2
#   WebSocket  /rooms/tea;v=2    path: /rooms/tea    raw_path: /rooms/tea
#   WebSocket  /rooms/tea%3Bv=2    path: /rooms/tea;v=2    raw_path: /rooms/tea%3Bv=2
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  daphne==4.2.3 autobahn==26.10.2 Twisted==26.10.0 websockets==17.4

cat >"$folder/paths.py" <<'PYTHON'
async def application(scope, receive, send):
    seen = scope["path"] + " " + scope["raw_path"].decode()
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": seen.encode()})
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": seen})
    await receive()
PYTHON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
PYTHONPATH=$folder "$folder/venv/bin/daphne" -b 127.0.0.1 -p "$port" paths:application >"$folder/log" 2>&1 &
server=$!

"$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time
import urllib.request
from importlib.metadata import version

from websockets.sync.client import connect

address = "127.0.0.1:" + sys.argv[1]
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.05)


def over_http(path):
    with urllib.request.urlopen(f"http://{address}{path}") as response:
        return response.read().decode().split()


def over_websocket(path):
    with connect(f"ws://{address}{path}", compression=None) as websocket:
        return websocket.recv().split()


plain, escaped = "/rooms/tea;v=2", "/rooms/tea%3Bv=2"
seen = {}
print(f"daphne {version('daphne')}, autobahn {version('autobahn')}")
for name, ask, path in [
    ("HTTP", over_http, plain),
    ("WebSocket", over_websocket, plain),
    ("WebSocket", over_websocket, escaped),
]:
    seen[name, path] = ask(path)
    print(f"{name:<10} {path}    path: {seen[name, path][0]}    raw_path: {seen[name, path][1]}")
if seen != {
    ("HTTP", plain): [plain, plain],
    ("WebSocket", plain): ["/rooms/tea", "/rooms/tea"],
    ("WebSocket", escaped): [plain, escaped],
}:
    sys.exit("The behaviour has changed.")
PYTHON
