"""The result of connecting with a token over a real socket."""

import asyncio
import json

import websockets


async def outcome_at(url, token):
    """Connect with a token: "connected", the code of the error, or of the close."""
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
        try:
            while True:
                reply = json.loads((await socket.recv()).split("\n")[0])
                if "id" in reply:
                    return "connected" if "connect" in reply else reply["error"]["code"]
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


async def outcomes_at(url, *tokens):
    """The same of many who come at once."""
    return await asyncio.gather(*(outcome_at(url, token) for token in tokens))
