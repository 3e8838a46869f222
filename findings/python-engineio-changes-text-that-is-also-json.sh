#!/usr/bin/env bash
# python-engineio: a text message that happens to be JSON does not arrive as the text that was sent.
#
# Packages:  python-engineio 4.15.1, uvicorn 0.54.0, websockets 17.4 (PyPI); engine.io-client 6.6.8 (npm).
# Valid use: a Python server that sends each text message back as it came, and a JavaScript client.
# Expected:  the text that was sent. In the Engine.IO protocol a message is text or bytes. What is in a
#            text is the application's affair.
# Happens:   the server tries `json.loads` on each text that does not begin with a digit. The handler
#            gets None for `null`, True for `true`, a float for `NaN` and a list for `[1, 2]`; other
#            text stays text. What the server sends back is `str()` of that, or compact JSON: `null`
#            becomes an empty message, `true` becomes `True`, quotes and spaces vanish.
# For a site: a chat on Engine.IO changes what some of its users type. A handler that calls
#            `data.split()` raises when somebody types `null`.
# Way around: put a mark in front of each text (`t:null`). Or give the server a `json` object whose
#            `loads` always raises ValueError, as below: then nothing is decoded. The setting is for the
#            whole process, and a Socket.IO server needs the decoder.
#
# Output seen:
#   python-engineio 4.15.1, engine.io-client 6.6.8
#   sent        came back    with a `json` that does not decode
#   hello       hello        hello
#   null                     null
#   true        True         true
#   "hi"        hi           "hi"
#   NaN         nan          NaN
#   [1, 2]      [1,2]        [1, 2]
#   12.50       12.50        12.50
#   -0          0            -0
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
command -v npm >/dev/null || { echo "node and npm are missing" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  python-engineio==4.15.1 uvicorn==0.54.0 websockets==17.4
npm install --silent --no-audit --no-fund --prefix "$folder" engine.io-client@6.6.8 >/dev/null

cat >"$folder/echo.py" <<'PYTHON'
import json
import sys

import engineio
import uvicorn


class Plain:
    dumps = staticmethod(json.dumps)

    @staticmethod
    def loads(text):
        raise ValueError


server = engineio.AsyncServer(async_mode="asgi", json=Plain if sys.argv[2] == "plain" else None)


@server.on("message")
async def echo(sid, data):
    await server.send(sid, data)


uvicorn.run(engineio.ASGIApp(server), port=int(sys.argv[1]), log_level="warning")
PYTHON
cat >"$folder/sent.txt" <<'TEXT'
hello
null
true
"hi"
NaN
[1, 2]
12.50
-0
TEXT
cat >"$folder/client.js" <<'JAVASCRIPT'
const { Socket } = require("engine.io-client");
const texts = require("fs").readFileSync(`${__dirname}/sent.txt`, "utf8").trim().split("\n");
let waited = 0;
function start() {
  const socket = new Socket(`ws://127.0.0.1:${process.argv[2]}`, { transports: ["websocket"] });
  const back = [];
  socket.on("open", () => socket.send(texts[0]));
  socket.on("message", (text) => {
    back.push(text);
    if (back.length < texts.length) return socket.send(texts[back.length]);
    console.log(back.join("\n"));
    process.exit();
  });
  socket.on("error", () => (waited++ < 200 ? setTimeout(start, 50) : process.exit(1)));
}
start();
JAVASCRIPT

come_back() {
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$folder/venv/bin/python" "$folder/echo.py" "$port" "$1" >"$folder/$1.log" 2>&1 &
  servers+=($!)
  node "$folder/client.js" "$port" >"$folder/$1.txt"
}

come_back default
come_back plain
cd "$folder"
echo "python-engineio 4.15.1, engine.io-client 6.6.8"
printf '%-11s %-12s %s\n' "sent" "came back" "with a \`json\` that does not decode"
while IFS= read -r sent <&3 && IFS= read -r back <&4 && IFS= read -r plain <&5; do
  printf '%-11s %-12s %s\n' "$sent" "$back" "$plain"
done 3<sent.txt 4<default.txt 5<plain.txt
cmp -s sent.txt plain.txt || { echo "The way around does not work any more." >&2; exit 1; }
printf '%s\n' hello '' True hi nan '[1,2]' 12.50 0 | cmp -s - default.txt ||
  { echo "The behaviour has changed." >&2; exit 1; }
