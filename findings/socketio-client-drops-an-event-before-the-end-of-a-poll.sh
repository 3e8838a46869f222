#!/usr/bin/env bash
# socket.io-client: an event in the poll that also ends the session is never emitted.
#
# Packages:  socket.io-client 4.8.4 (npm).
# Valid use: a server that tells a polling client why it is disconnected: an event, the packet DISCONNECT and
#            the packet "close" of Engine.IO. They wait for the client's poll, so one answer carries all three.
# Expected:  the event, then "disconnect" with the reason "io server disconnect", as with three answers, or
#            over a WebSocket.
# Happens:   packets are handled in a later tick. The "close" at the end of the same payload ends the session
#            before that: the event is lost, and "disconnect" comes twice, first with "transport close".
# For a site: who is thrown out for good is not told why. A page that acts on the first reason, such as by a
#            new connection, does the wrong thing.
# Way around: on the server, send "close" in an answer of its own, to the poll after.
#
# Output seen:
#   socket.io-client 4.8.4
#   in one answer      : disconnect(transport close), disconnect(io server disconnect)
#   close on its own   : bye(why), disconnect(io server disconnect)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
command -v npm >/dev/null || { echo "node and npm are missing" >&2; exit 2; }
npm install --silent --no-audit --no-fund --prefix "$folder" socket.io-client@4.8.4 >/dev/null

cat >"$folder/main.js" <<'JAVASCRIPT'
const http = require("http");
const { io } = require("socket.io-client");

const OPEN = { sid: "s", upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 9999 };
const BETWEEN = "\x1e"; // divides the packets of a payload

/** A server that answers the opening, the CONNECT, and then each poll with the next of `answers`. */
function serve(answers) {
  const left = [...answers];
  return http.createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      if (request.method === "POST") return response.end("ok");
      if (!request.url.includes("sid=")) return response.end(`0${JSON.stringify(OPEN)}`);
      if (left.length) return setTimeout(() => response.end(left.shift()), 50);
    });
  });
}

function watch(...answers) {
  return new Promise((resolve) => {
    const server = serve(['40{"sid":"a"}', ...answers]).listen(0, "127.0.0.1", () => {
      const url = `http://127.0.0.1:${server.address().port}`;
      const socket = io(url, { transports: ["polling"], reconnection: false });
      const seen = [];
      socket.on("bye", (why) => seen.push(`bye(${why})`));
      socket.on("disconnect", (reason) => {
        seen.push(`disconnect(${reason})`);
        setTimeout(() => {
          socket.close();
          server.closeAllConnections();
          server.close();
          resolve(seen.join(", "));
        }, 300);
      });
    });
  });
}

async function main() {
  const together = await watch(['42["bye","why"]', "41", "1"].join(BETWEEN));
  const apart = await watch(['42["bye","why"]', "41"].join(BETWEEN), "1");
  console.log("socket.io-client 4.8.4");
  console.log(`in one answer      : ${together}`);
  console.log(`close on its own   : ${apart}`);
  const expected = [
    "disconnect(transport close), disconnect(io server disconnect)",
    "bye(why), disconnect(io server disconnect)",
  ];
  if (together !== expected[0] || apart !== expected[1]) {
    console.error("The behaviour has changed.");
    process.exit(1);
  }
  process.exit();
}
main();
JAVASCRIPT
node "$folder/main.js"
