#!/usr/bin/env bash
# aiohttp: a clean close without a code is reported as 1006 by its client, and as 0 by its server.
#
# Packages:  aiohttp 3.14.5 (PyPI); ws 8.23.0 (npm) as the other side.
# Valid use: `socket.close()` without arguments, the usual way in JavaScript. It sends a close frame with
#            no code in it, which RFC 6455 (section 5.5.1) allows.
# Expected:  `close_code` is 1005. RFC 6455 (section 7.1.5) says so for a close frame without a code.
#            1006 is for a connection that ended without any close frame.
# Happens:   aiohttp stores 0 for "no code". Its client then takes this 0 for "nothing received yet",
#            waits for one more close frame, and reports 1006 and an `EofStream` exception when the
#            connection ends. In its server the 0 stays. With a code in the frame both are right.
#            The other side sees a clean close in all cases.
# For a site: a client counts a normal end as a lost connection, and may connect again. A server that
#            tests for `close_code in (1000, 1001, 1005)` finds a code that it does not know.
# Way around: close with a code (`socket.close(1000)`). In the client, look at the message: a `CLOSE`
#            message whose `data` is 0 is a clean close without a code.
#
# Output seen:
#   aiohttp 3.14.5, ws 8.23.0
#   aiohttp client, other side calls close():     close_code 1006, exception EofStream
#   aiohttp client, other side calls close(1000): close_code 1000, exception None
#   aiohttp server, other side calls close():     close_code 0, exception None
#   aiohttp server, other side calls close(1000): close_code 1000, exception None
#   ws saw, as the server: [1000, 1000] as the client: ['1000 clean', '1000 clean']
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
command -v npm >/dev/null || { echo "node and npm are missing" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5
npm install --silent --no-audit --no-fund --prefix "$folder" ws@8.23.0 >/dev/null

cat >"$folder/serve.js" <<'JAVASCRIPT'
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 }, () => console.log(server.address().port));
server.on("connection", (socket, request) => {
  socket.on("close", (code) => console.log(code));
  request.url === "/code" ? socket.close(1000) : socket.close();
});
JAVASCRIPT
cat >"$folder/connect.js" <<'JAVASCRIPT'
const WebSocket = require("ws");
const socket = new WebSocket(process.argv[2]);
socket.onopen = () => (process.argv[2].endsWith("/code") ? socket.close(1000) : socket.close());
socket.onclose = (event) => console.log(event.code, event.wasClean ? "clean" : "not clean");
JAVASCRIPT

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from asyncio.subprocess import PIPE
from importlib.metadata import version

import aiohttp
from aiohttp import web

PATHS = {"/none": "close():    ", "/code": "close(1000):"}


def outcome(websocket):
    error = websocket.exception()
    return int(websocket.close_code), type(error).__name__ if error else None


async def as_client():
    """Connect with aiohttp to a server that closes at once."""
    server = await asyncio.create_subprocess_exec("node", "serve.js", stdout=PIPE)
    try:
        port = int(await server.stdout.readline())
        seen, others = {}, []
        async with aiohttp.ClientSession() as session:
            for path in PATHS:
                async with session.ws_connect(f"http://127.0.0.1:{port}{path}") as websocket:
                    await websocket.receive()
                    seen[path] = outcome(websocket)
                others.append(int(await server.stdout.readline()))
        return seen, others
    finally:
        server.terminate()
        await server.wait()


async def as_server():
    """Serve with aiohttp a client that closes as soon as it is connected."""
    seen, others, ended = {}, [], asyncio.Queue()

    async def handle(request):
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for _ in websocket:
            pass
        await ended.put((request.path, outcome(websocket)))
        return websocket

    application = web.Application()
    application.router.add_get("/{any}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    for path in PATHS:
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}{path}"
        client = await asyncio.create_subprocess_exec("node", "connect.js", url, stdout=PIPE)
        others.append((await client.communicate())[0].decode().strip())
        came, seen_here = await ended.get()
        seen[came] = seen_here
    await runner.cleanup()
    return seen, others


async def main():
    print(f"aiohttp {version('aiohttp')}, ws 8.23.0")
    client, servers = await as_client()
    server, clients = await as_server()
    for name, seen in (("client", client), ("server", server)):
        for path, call in PATHS.items():
            code, error = seen[path]
            print(f"aiohttp {name}, other side calls {call} close_code {code}, exception {error}")
    print("ws saw, as the server:", servers, "as the client:", clients)
    if (client["/none"], server["/none"]) != ((1006, "EofStream"), (0, None)):
        sys.exit("The behaviour has changed.")
    if client["/code"] != (1000, None) or server["/code"] != (1000, None):
        sys.exit("A close with a code is no longer reported as it was.")


asyncio.run(main())
PYTHON
