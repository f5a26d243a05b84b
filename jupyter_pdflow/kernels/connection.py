"""The ways to a kernel: one request at a time, its reply, and what it publishes meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Coroutine
from logging import Logger
from pathlib import Path
from queue import Empty
from typing import Any

import msgspec
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_core.utils import ensure_async

from jupyter_pdflow.kernels.messages import LISTEN, MESSAGE, Ask, Reply, framed, read_frame
from jupyter_pdflow.rules.run import Error

Message = dict[str, Any]
Take = Callable[[Message], None]

_DEATH_SECONDS = 0.5
_IDLE_SECONDS = 2.0
_SHORTLY_SECONDS = 0.2
_QUEUE_SECONDS = 0.02


class Connection:
    """The channels of a kernel. Made by `open`, ended by `close`.

    Parameters
    ----------
    client : AsyncKernelClient
        Jupyter's client of the kernel.
    is_alive : callable
        Tells whether the kernel's process lives.
    log : Logger
        Where messages that can't be read are reported.
    """

    def __init__(self, client: Any, is_alive: Callable[[], Awaitable[bool]], log: Logger) -> None:
        self._client = client
        self._is_alive = is_alive
        self._log = log
        self._readers: list[asyncio.Task[None]] = []
        self._path: Path | None = None
        self._line: StreamWriter | None = None
        self._message_id = ""
        self._reply: asyncio.Future[Any] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._take: Take = _ignore

    async def open(self) -> bool:
        """Start the channels and wait until the kernel answers on both; False if it dies."""
        await ensure_async(self._client.start_channels(stdin=False, hb=False, control=False))
        for channel, note in (
            (self._client.shell_channel, self._note_reply),
            (self._client.iopub_channel, self._note_published),
        ):
            self._read(self._read_channel(channel, note))
        while True:
            if await self._request("kernel_info", {}, idle_seconds=_SHORTLY_SECONDS) is None:
                return False
            if self._idle is not None and self._idle.done():
                return True

    async def listen(self, path: Path | None) -> Message:
        """Load the worker.

        Parameters
        ----------
        path : Path or None
            Where the kernel makes a Unix socket for frames, where it is on this machine.

        Returns
        -------
        dict
            What the kernel replied to that; empty where it died.
        """
        code = LISTEN.format(path=None if path is None else str(path))
        content = {"code": code, "silent": True, "store_history": False, "allow_stdin": False}
        reply = await self._request("execute", content)
        if path is not None and reply is not None and reply.get("status") == "ok":
            self._path = path
            reader, self._line = await asyncio.open_unix_connection(path)
            self._read(self._read_line(reader))
        return reply or {}

    async def ask(self, ask: Ask, take: Take) -> Reply | None:
        """Send a frame to the worker and wait for its reply.

        Parameters
        ----------
        ask : Ask
            What is asked.
        take : callable
            Is given what the kernel publishes meanwhile, ``status`` apart.

        Returns
        -------
        Reply or None
            None if the kernel died or the connection was lost.
        """
        frame = msgspec.json.encode(ask)
        if self._line is None:
            content = await self._request(MESSAGE, {"frame": frame.decode()}, take)
            return None if content is None else _reply_in(content)
        self._expect(ask.id, take)
        try:
            self._line.write(framed(frame))
            found = await self._reply_or_death()
            reply = None if found is None else msgspec.json.decode(found, type=Reply)
            if reply is None or reply.published:
                await self._all_published(_SHORTLY_SECONDS if reply is None else _IDLE_SECONDS)
        finally:
            self._expect("", _ignore)
        return reply

    async def close(self) -> None:
        """Stop the channels and free what they took."""
        for reader in self._readers:
            reader.cancel()
        if self._readers:
            await asyncio.wait(self._readers)
        if self._line is not None:
            self._line.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._client.stop_channels()
        self._client.context.destroy(linger=0)

    async def _request(
        self,
        kind: str,
        content: Message,
        take: Take | None = None,
        *,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> Message | None:
        """Send a request on the shell channel and wait for its reply's content."""
        message = self._client.session.msg(f"{kind}_request", content)
        self._expect(message["header"]["msg_id"], take or _ignore)
        try:
            self._client.shell_channel.send(message)
            reply: Message | None = await self._reply_or_death()
            await self._all_published(_SHORTLY_SECONDS if reply is None else idle_seconds)
        finally:
            self._expect("", _ignore)
        return reply

    def _expect(self, message_id: str, take: Take) -> None:
        self._message_id, self._take = message_id, take
        if message_id:
            loop = asyncio.get_running_loop()
            self._reply, self._idle = loop.create_future(), loop.create_future()

    async def _reply_or_death(self) -> Any:
        assert self._reply is not None  # noqa: S101  `_expect` has made it
        while not self._reply.done():
            await asyncio.wait([self._reply], timeout=_DEATH_SECONDS)
            if not self._reply.done() and not await self._is_alive():
                return None
        if self._reply.result() is None:
            await self._death()
        return self._reply.result()

    async def _death(self) -> None:
        """Wait a little for the process of a lost connection, so that it can be told how it ended."""
        end = asyncio.get_running_loop().time() + _DEATH_SECONDS
        while await self._is_alive() and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_QUEUE_SECONDS)

    async def _all_published(self, seconds: float) -> None:
        assert self._idle is not None  # noqa: S101  `_expect` has made it
        await asyncio.wait([self._idle], timeout=seconds)

    def _read(self, reading: Coroutine[Any, Any, None]) -> None:
        self._readers.append(asyncio.create_task(reading))

    async def _read_line(self, reader: StreamReader) -> None:
        with contextlib.suppress(IncompleteReadError, ConnectionError):
            while True:
                frame = await read_frame(reader)
                self._settle(self._reply, frame)
        self._settle(self._reply, None)

    async def _read_channel(self, channel: Any, note: Callable[[Message], None]) -> None:
        while True:
            try:
                message = await _next(channel)
                if message["parent_header"].get("msg_id") == self._message_id:
                    note(message)
            except RuntimeError:  # a gateway has closed the connection
                self._settle(self._reply, None)
                return
            except Exception:  # noqa: BLE001  one bad message must not end the reading
                self._log.exception("A message of a kernel could not be read")

    def _note_reply(self, message: Message) -> None:
        self._settle(self._reply, message["content"])

    def _note_published(self, message: Message) -> None:
        if message["msg_type"] != "status":
            self._take(message)
        elif message["content"]["execution_state"] == "idle":
            self._settle(self._idle, None)

    @staticmethod
    def _settle(future: asyncio.Future[Any] | None, value: Any) -> None:
        if future is not None and not future.done():
            future.set_result(value)


def _reply_in(content: Message) -> Reply:
    """Read the reply in a message; a kernel that could not make one says why itself."""
    if "frame" in content:
        return msgspec.json.decode(content["frame"], type=Reply)
    ename, evalue = content.get("ename"), content.get("evalue")
    error = Error(ename=str(ename), evalue=str(evalue))
    return Reply(error=error, published=True)


def _ignore(_message: Message) -> None:
    """Nobody asked for it."""


async def _next(channel: Any) -> Message:
    """Wait for a message of a channel: a socket, or the queue that a gateway's client has."""
    if isinstance(channel, AsyncZMQSocketChannel):
        received = await channel.socket.recv_multipart()
        _, parts = channel.session.feed_identities(received)
        message: Message = channel.session.deserialize(parts)
        return message
    while True:
        try:
            message = await ensure_async(channel.get_msg(timeout=0))
        except Empty:
            await asyncio.sleep(_QUEUE_SECONDS)
        else:
            return message
