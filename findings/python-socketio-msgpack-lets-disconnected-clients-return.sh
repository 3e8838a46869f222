#!/usr/bin/env bash
# python-socketio with msgpack: a JavaScript client that the server disconnects comes back by itself.
#
# Packages:  python-socketio 5.18.1, python-engineio 4.15.1, msgpack 1.2.4, uvicorn 0.54.0 (PyPI);
#            socket.io-client 4.8.4, socket.io-msgpack-parser 3.0.2 (npm).
# Valid use: a Python server with `serializer="msgpack"`, a JavaScript client with the msgpack parser of
#            the Socket.IO project, and `await server.disconnect(sid)`.
# Expected:  the client's "disconnect" event has the reason "io server disconnect", and the client stays
#            away: its documentation says that it does not reconnect by itself after that reason. This
#            is what happens with the default serializer.
# Happens:   the Python server writes `data: nil` into the disconnect packet. The JavaScript parser wants
#            no data at all in such a packet, and refuses it. The reason becomes "parse error". After
#            that one the client does reconnect.
# For a site: a user who was disconnected is back after a second or so, unless the "connect" handler of
#            the server refuses.
# Way around: send an event of your own first, and let the client call `disconnect()` when it comes. Or
#            use the default serializer.
#
# Output seen:
#   python-socketio 5.18.1, socket.io-client 4.8.4, socket.io-msgpack-parser 3.0.2
#   default: io server disconnect; will reconnect: false
#   msgpack: parse error (invalid payload); will reconnect: true; connected again
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
command -v npm >/dev/null || { echo "node and npm are missing" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  python-socketio==5.18.1 python-engineio==4.15.1 msgpack==1.2.4 uvicorn==0.54.0 websockets==17.4
npm install --silent --no-audit --no-fund --prefix "$folder" \
  socket.io-client@4.8.4 socket.io-msgpack-parser@3.0.2 >/dev/null

cat >"$folder/server.py" <<'PYTHON'
import sys

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi", serializer=sys.argv[2])


@server.on("kick me")
async def kick(sid):
    await server.disconnect(sid)


uvicorn.run(socketio.ASGIApp(server), port=int(sys.argv[1]), log_level="warning")
PYTHON

cat >"$folder/client.js" <<'JAVASCRIPT'
const { io } = require("socket.io-client");
const [, , port, serializer] = process.argv;
const options = { transports: ["websocket"], reconnectionDelay: 100 };
if (serializer === "msgpack") options.parser = require("socket.io-msgpack-parser");
const socket = io(`http://127.0.0.1:${port}`, options);
let told = "";
const end = (text) => {
  console.log(text);
  process.exit();
};
socket.on("connect", () => (told ? end(`${told}; connected again`) : socket.emit("kick me")));
socket.on("disconnect", (reason, details) => {
  const detail = details instanceof Error ? ` (${details.message})` : "";
  told = `${reason}${detail}; will reconnect: ${socket.active}`;
  if (!socket.active) end(told);
});
setTimeout(() => end("no answer"), 20000);
JAVASCRIPT

saw() {
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$folder/venv/bin/python" "$folder/server.py" "$port" "$1" >"$folder/$1.log" 2>&1 &
  servers+=($!)
  node "$folder/client.js" "$port" "$1" >"$folder/$1.txt"
}

saw default
saw msgpack
echo "python-socketio 5.18.1, socket.io-client 4.8.4, socket.io-msgpack-parser 3.0.2"
default=$(cat "$folder/default.txt") msgpack=$(cat "$folder/msgpack.txt")
echo "default: $default"
echo "msgpack: $msgpack"
[ "$default" = "io server disconnect; will reconnect: false" ] &&
  [ "$msgpack" = "parse error (invalid payload); will reconnect: true; connected again" ] ||
  { echo "The behaviour has changed." >&2; exit 1; }
