#!/usr/bin/env bash
# faye-websocket: a server that closes with 1012 ("service restart") is reported, and answered, as 1002.
#
# Packages:  faye-websocket 0.11.4 with websocket-driver 0.8.0, ws 8.23.0 (npm).
# Valid use: a server that closes with 1012, or with 1013 ("try again later"). uvicorn closes with 1012
#            when it is stopped.
# Expected:  the close event of the client has the code that was sent. Both are in the registry of close
#            codes at IANA, which RFC 6455 (section 11.7) created for codes that are added later.
# Happens:   the library knows only the codes that the RFC itself lists. It takes any other code below
#            3000 for a mistake: the event says 1002 ("protocol error"), and 1002 is the answer to the
#            server. The client of ws reports 1012 from the same server. Codes from 4000 on pass.
# For a site: at each restart of a server its clients report a protocol error, and so does the server. A
#            client that comes back after 1012 and gives up after 1002 stays away.
# Way around: close with a code of your own from 4000 to 4999, or let clients come back after 1002 too.
#
# Output seen:
#   server sends    ws reports    faye-websocket reports    and answers
#   1001            1001          1001                      1001
#   1012            1012          1002                      1002
#   1013            1013          1002                      1002
#   4012            4012          4012                      4012
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
command -v npm >/dev/null || { echo "node and npm are missing" >&2; exit 2; }
npm install --silent --no-audit --no-fund --prefix "$folder" \
  faye-websocket@0.11.4 websocket-driver@0.8.0 ws@8.23.0 >/dev/null

cat >"$folder/codes.js" <<'JAVASCRIPT'
const { once } = require("events");
const WebSocket = require("ws");
const { Client } = require("faye-websocket");

const seenBy = (socket) => new Promise((resolve) => (socket.onclose = (event) => resolve(event.code)));

async function main() {
  const server = new WebSocket.WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const answers = [];
  server.on("connection", (socket, request) => {
    socket.on("close", (code) => server.emit("answer", code));
    socket.close(Number(request.url.slice(1)), "see you");
  });
  const rows = [];
  for (const code of [1001, 1012, 1013, 4012]) {
    const url = `ws://127.0.0.1:${server.address().port}/${code}`;
    const ws = seenBy(new WebSocket(url));
    await once(server, "answer");
    const faye = seenBy(new Client(url));
    const [answer] = await once(server, "answer");
    rows.push([code, await ws, await faye, answer]);
  }
  console.log("server sends    ws reports    faye-websocket reports    and answers");
  for (const [code, ws, faye, answer] of rows) {
    console.log(`${code}            ${ws}          ${faye}                      ${answer}`);
  }
  const expected = [
    [1001, 1001, 1001, 1001],
    [1012, 1012, 1002, 1002],
    [1013, 1013, 1002, 1002],
    [4012, 4012, 4012, 4012],
  ];
  if (JSON.stringify(rows) !== JSON.stringify(expected)) {
    console.error("The behaviour has changed.");
    process.exit(1);
  }
  process.exit(0);
}
main();
JAVASCRIPT
node "$folder/codes.js"
