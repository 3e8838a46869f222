#!/usr/bin/env bash
# simple-websocket: its client does not answer a close frame, so the server counts a lost connection.
#
# Packages:  simple-websocket 1.1.0, websockets 17.4 (PyPI).
# Valid use: a server that closes with a code and a reason, and waits for the answer of the client.
# Expected:  the client sends a close frame back. RFC 6455 (section 5.5.1): an endpoint that gets a close
#            frame and has sent none must send one.
# Happens:   the client reports the right code and reason to its user, and ends the TCP connection
#            without an answer. The server reports 1006 ("closed abnormally") for an end that it began
#            itself. The client of websockets answers.
# For a site: statistics count these clients as lost connections. A server that keeps the session of a
#            lost client for a while keeps those that it sent away as well.
# Way around: in the server, remember the code that was sent, and don't take 1006 after it for a loss.
#
# Output seen:
#   websockets:       client got 4001 "bye"; server reports 4001, answered: True
#   simple-websocket: client got 4001 "bye"; server reports 1006, answered: False
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check simple-websocket==1.1.0 websockets==17.4

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import simple_websocket
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def with_websockets(url):
    with connect(url) as websocket:
        websocket.send("ready")
        try:
            websocket.recv()
        except ConnectionClosed as closed:
            return int(closed.rcvd.code), closed.rcvd.reason


def with_simple_websocket(url):
    websocket = simple_websocket.Client(url)
    websocket.send("ready")
    try:
        websocket.receive()
    except simple_websocket.ConnectionClosed as closed:
        return int(closed.reason), closed.message


async def main():
    ended = asyncio.Queue()

    async def handle(websocket):
        await websocket.recv()
        await websocket.close(4001, "bye")
        await websocket.wait_closed()
        await ended.put((int(websocket.close_code), websocket.protocol.close_rcvd is not None))

    seen = []
    async with serve(handle, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for name, client in (("websockets", with_websockets), ("simple-websocket", with_simple_websocket)):
            code, reason = await asyncio.to_thread(client, url)
            reported, answered = await ended.get()
            seen.append((code, reason, reported, answered))
            print(
                f'{name + ":":<17} client got {code} "{reason}"; server reports {reported},'
                f" answered: {answered}"
            )
    if seen != [(4001, "bye", 4001, True), (4001, "bye", 1006, False)]:
        sys.exit("The behaviour has changed.")


asyncio.run(main())
PYTHON
