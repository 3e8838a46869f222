#!/usr/bin/env bash
# Daphne never sends an empty text message; the W3C client of npm's "websocket" never delivers one.
#
# Packages:  daphne 4.2.3, websockets 17.4 (PyPI); websocket 1.0.35, ws 8.23.0 (npm).
# Valid use: an empty text message between two others. RFC 6455 allows empty messages, and ASGI says
#            that one of `bytes` and `text` must not be None: an empty string is not None.
# Expected:  three messages are sent, three arrive.
# Happens:   two arrive, without an error or a line in a log. Daphne drops the message on the way out.
#            `w3cwebsocket` of "websocket" gets it from the network and does not call `onmessage`. The
#            other interface of the same package, `connection.on("message")`, does deliver it. Both test
#            whether the text is truthy instead of whether there is one.
# For a site: a client that expects one answer for each question waits for ever, or takes the next answer
#            for this one. An empty message as a sign of life never arrives.
# Way around: send JSON, where an empty text has its quotes (`""`).
#
# Output seen:
#   sent:                               "one" "" "three"
#   Daphne to websockets:               "one" "three"
#   ws to w3cwebsocket:                 "one" "three"
#   ws to connection.on of "websocket": "one" "" "three"
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
command -v npm >/dev/null || { echo "node and npm are missing" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  daphne==4.2.3 autobahn==26.10.2 Twisted==26.10.0 websockets==17.4
npm install --silent --no-audit --no-fund --prefix "$folder" websocket@1.0.35 ws@8.23.0 >/dev/null

cat >"$folder/three.py" <<'PYTHON'
async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    for text in ("one", "", "three"):
        await send({"type": "websocket.send", "text": text})
    await receive()
PYTHON
cat >"$folder/received.py" <<'PYTHON'
import json
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
texts = []
with connect(f"ws://127.0.0.1:{port}/", compression=None) as websocket:
    while "three" not in texts:
        texts.append(websocket.recv())
print(" ".join(map(json.dumps, texts)))
PYTHON
cat >"$folder/clients.js" <<'JAVASCRIPT'
const { WebSocketServer } = require("ws");
const { w3cwebsocket, client } = require("websocket");
const show = (texts) => console.log(texts.map((text) => JSON.stringify(text)).join(" "));
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 }, () => {
  const url = `ws://127.0.0.1:${server.address().port}/`;
  const texts = [];
  new w3cwebsocket(url).onmessage = (event) => {
    texts.push(event.data);
    if (event.data !== "three") return;
    show(texts);
    const other = new client();
    const others = [];
    other.on("connect", (connection) =>
      connection.on("message", (message) => {
        others.push(message.utf8Data);
        if (message.utf8Data !== "three") return;
        show(others);
        process.exit();
      }),
    );
    other.connect(url);
  };
});
server.on("connection", (socket) => ["one", "", "three"].forEach((text) => socket.send(text)));
JAVASCRIPT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
PYTHONPATH=$folder "$folder/venv/bin/daphne" -b 127.0.0.1 -p "$port" three:application >"$folder/log" 2>&1 &
server=$!
daphne=$("$folder/venv/bin/python" "$folder/received.py" "$port")
{ read -r w3c; read -r connection; } < <(node "$folder/clients.js")
echo 'sent:                               "one" "" "three"'
echo "Daphne to websockets:               $daphne"
echo "ws to w3cwebsocket:                 $w3c"
echo "ws to connection.on of \"websocket\": $connection"
[ "$daphne" = '"one" "three"' ] && [ "$w3c" = '"one" "three"' ] && [ "$connection" = '"one" "" "three"' ] ||
  { echo "The behaviour has changed." >&2; exit 1; }
