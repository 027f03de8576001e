"""Many clients at a time: all at once, or each as slow as possible."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.benchmarks.server.mutations import Wire
from tests.server_process import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

PAUSE = 0.25
"""Seconds between two bytes of a slow client."""


def crowd(port: int, wires: Sequence[Wire]) -> list[bytes]:
    """Open a connection for each request, then send them all at once; return the answers."""

    async def ask() -> list[bytes]:
        connected = asyncio.Barrier(len(wires))

        async def one(wire: Wire) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await connected.wait()
            with contextlib.suppress(ConnectionError):
                writer.write(wire.content)
                writer.write_eof()
            return await _answer(reader, writer)

        return await asyncio.gather(*map(one, wires))

    return asyncio.run(ask())


def trickle(port: int, clients: int, seconds: float) -> list[tuple[Wire, bytes]]:
    """Send bodies and heads a byte at a time, for longer than the server waits.

    Args:
        port: Of the server.
        clients: How many are slow at the same time; two of three send a whole head.
        seconds: How long the server waits.

    Returns:
        What each began to send, and its answer.

    """
    body = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: "

    async def one(number: int) -> tuple[Wire, bytes]:
        wire = Wire(head, whole=False) if number % 3 == 0 else Wire(body)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(wire.content)
        answer = asyncio.create_task(_answer(reader, writer))
        for _ in range(int(2 * seconds / PAUSE)):
            if answer.done():
                break
            with contextlib.suppress(ConnectionError):
                writer.write(b"x")
            await asyncio.sleep(PAUSE)
        return wire, await answer

    async def ask() -> list[tuple[Wire, bytes]]:
        return await asyncio.gather(*map(one, range(clients)))

    return asyncio.run(ask())


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read until the server closes the connection, and close it."""
    content = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while piece := await reader.read(65536):
                content += piece
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return content
