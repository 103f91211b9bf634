"""Talks to a WebSocket server that gives back what it gets: `client.py ws://ADDRESS/PATH [CA]`."""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError


async def main(url, ca=None):
    context = ssl.create_default_context(cafile=ca) if ca else None
    async with connect(url, max_size=None, subprotocols=["chat"], compression=None, ssl=context) as connection:
        assert connection.subprotocol == "chat", connection.subprotocol
        for message in ["one", b"\x00\xff" * 500_000, "x" * 200_000]:
            await connection.send(message)
            assert await connection.recv() == message
        await asyncio.wait_for(await connection.ping(), 10)
        await connection.send("bye")
        try:
            await connection.recv()
        except ConnectionClosedError as closed:
            print(closed.rcvd.code, closed.rcvd.reason)


asyncio.run(main(*sys.argv[1:]))
