"""A transport without a network, for the protocols of a server."""

import asyncio


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and ends its protocol as a loop does."""

    def __init__(self, address):
        super().__init__({"peername": (address, 50_000)})
        self.written = b""
        self.ended = asyncio.Event()
        self.protocol = None

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.ended.is_set()

    def set_protocol(self, protocol):
        self.protocol = protocol

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def close(self):
        if not self.is_closing():
            self.ended.set()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)
