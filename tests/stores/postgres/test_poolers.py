"""A pooler in transaction mode is refused, because it passes no notifications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.stores.postgres.shared import read_shared

READY, NOTIFICATION = b"Z", b"A"


class Pooler:
    """Drops the notifications that come while a client waits for no answer, as PgBouncer does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, ours]
        waits = asyncio.Event()
        self._tasks += [
            asyncio.create_task(self._requests(reader, ours, waits)),
            asyncio.create_task(self._answers(theirs, writer, waits)),
        ]

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waits: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            waits.set()
            writer.write(data)
        writer.close()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waits: asyncio.Event
    ) -> None:
        while head := await reader.read(1):
            size = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(size) - 4)
            if head != NOTIFICATION or waits.is_set():
                writer.write(head + size + body)
            if head == READY:
                waits.clear()
        writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        closing = (writer.wait_closed() for writer in self._writers)
        await asyncio.gather(*closing, return_exceptions=True)


@asynccontextmanager
async def pooled(url: str) -> AsyncIterator[str]:
    port = psycopg.conninfo.conninfo_to_dict(url)["port"]
    pooler = Pooler(int(port or 0))
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    try:
        own = server.sockets[0].getsockname()[1]
        yield f"{url.replace(str(port), str(own))}?sslmode=disable&gssencmode=disable"
    finally:
        server.close()
        await pooler.close()


async def test_a_pooler_in_transaction_mode_is_refused(database: str) -> None:
    assert (await read_shared(database)).link_keys
    async with pooled(database) as url:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:  # what a client sends to itself arrives
            await connection.execute("LISTEN own")
            await connection.execute("NOTIFY own")
            told = connection.notifies(timeout=2, stop_after=1)
            assert [each.channel async for each in told] == ["own"]
        with pytest.raises(ConfigurationError, match="a pooler in transaction mode"):
            await read_shared(url)
