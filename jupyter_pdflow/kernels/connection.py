"""The ways to a kernel: one request at a time, its reply, and what it publishes meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from jupyter_pdflow.exceptions import ClosedByGatewayError, GatewayError
from jupyter_pdflow.kernels.messages import (
    LISTEN,
    MESSAGE,
    Ask,
    Reply,
    framed,
    read_frame,
)
from jupyter_pdflow.kernels.outputs import Channels, Message
from jupyter_pdflow.rules.run import Error
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

Take = Callable[[Message], None]

_DEATH_SECONDS = 0.5
_IDLE_SECONDS = 2.0
_SHORTLY_SECONDS = 0.2
_QUEUE_SECONDS = 0.02
_UNANSWERED_CHECKS = 20
"""How often a kernel that has said it is done is looked at before its reply is given up."""

GARBLED = (
    "its answer could not be read, perhaps because code wrote to a file descriptor that is not "
    "its own, or its environment has another version of jupyter_pdflow"
)
_RESTARTED = "its gateway has started it anew"
_NOT_BEGUN = "The kernel gateway has started a kernel anew before that had begun what it was asked."
_UNANSWERED = "it was started anew, or its answer was lost"


class End(NamedTuple):
    """Why a kernel can't be talked to any more.

    Attributes
    ----------
    words : str
        The reason.
    gateway : bool
        Whether that is the gateway's doing, and not that of what the kernel was asked to do.
    """

    words: str
    gateway: bool = False


class Connection:
    """The channels of a kernel. Made by `open`, ended by `close`.

    Parameters
    ----------
    client : AsyncKernelClient
        Jupyter's client of the kernel.
    is_alive : callable
        Tells whether the kernel's process lives; raises `GatewayError` if its gateway does not.

    Attributes
    ----------
    end : End or None
        Set once the kernel can't be talked to any more.
    """

    def __init__(
        self, client: Any, is_alive: Callable[[], Awaitable[bool]], limits: Limits = LIMITS
    ) -> None:
        self._limit = limits.reply_bytes
        self.end: End | None = None
        self._channels = Channels(client)
        self._is_alive = is_alive
        self._readers: list[asyncio.Task[None]] = []
        self._path: Path | None = None
        self._line: StreamWriter | None = None
        self._is_open = False
        self._message_id = ""
        self._ask_id = ""
        self._is_busy = False
        self._reply: asyncio.Future[Any] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._take: Take = _ignore

    @property
    def has_line(self) -> bool:
        """Whether the kernel is on this machine and has a socket for frames."""
        return self._line is not None

    async def open(self) -> bool:
        """Start the channels and wait until the kernel answers on both; False if it dies.

        Raises
        ------
        GatewayError
            The kernel's gateway can't be reached.
        """
        await self._channels.start()
        for channel, note in (
            (self._channels.shell, self._note_reply),
            (self._channels.iopub, self._note_published),
        ):
            self._read(self._read_channel(channel, note))
        while not self._is_open:
            if await self._request("kernel_info", {}, idle_seconds=_SHORTLY_SECONDS) is None:
                return False
            self._is_open = self._idle is not None and self._idle.done()
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
            reader, self._line = await asyncio.open_unix_connection(path, limit=self._limit)
            self._read(self._read_line(reader))
        return reply or {}

    async def ask(self, ask: Ask, take: Take) -> Reply | None:
        """Send a frame to the worker and wait for its reply; one to another request is dropped.

        Parameters
        ----------
        ask : Ask
            What is asked.
        take : callable
            Is given what the kernel publishes meanwhile, ``status`` apart.

        Returns
        -------
        Reply or None
            None if the kernel died or the connection was lost; `end` may say why.
        """
        frame = msgspec.json.encode(ask)
        if self._line is None:
            found = await self._request(MESSAGE, {"frame": frame.decode()}, take, ask_id=ask.id)
            return _refusal(found, ask.id) if isinstance(found, dict) else found
        self._expect(ask.id, take, ask.id)
        try:
            self._line.write(framed(frame))
            reply: Reply | None = await self._reply_or_death()
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
        await self._channels.stop()

    # --- a request --------------------------------------------------------------------

    async def _request(
        self,
        kind: str,
        content: Message,
        take: Take | None = None,
        *,
        ask_id: str = "",
        idle_seconds: float = _IDLE_SECONDS,
    ) -> Any:
        """Send a request on the shell channel and wait for its reply's content, or for a frame."""
        message = self._channels.message(f"{kind}_request", content)
        self._expect(message["header"]["msg_id"], take or _ignore, ask_id)
        try:
            await self._send(message)
            reply = await self._reply_or_death()
            await self._all_published(_SHORTLY_SECONDS if reply is None else idle_seconds)
        finally:
            self._expect("", _ignore)
        return reply

    async def _send(self, message: Message) -> None:
        try:
            await self._channels.send(message)
        except ClosedByGatewayError as error:
            self._over(End(str(error), gateway=True))

    def _expect(self, message_id: str, take: Take, ask_id: str = "") -> None:
        self._message_id, self._take, self._ask_id = message_id, take, ask_id
        self._is_busy = False
        if message_id:
            loop = asyncio.get_running_loop()
            self._reply, self._idle = loop.create_future(), loop.create_future()
            if self.end is not None:
                self._reply.set_result(None)

    async def _reply_or_death(self) -> Any:
        assert self._reply is not None  # noqa: S101  `_expect` has made it
        unanswered = 0
        while not self._reply.done():
            await asyncio.wait([self._reply], timeout=_DEATH_SECONDS)
            if self._reply.done():
                break
            if not await self._lives():
                return None
            unanswered += self._idle is not None and self._idle.done()
            if unanswered > _UNANSWERED_CHECKS:
                self._over(End(_UNANSWERED))
        if self._reply.result() is None and self._line is not None:
            await self._death()
        return self._reply.result()

    async def _lives(self) -> bool:
        try:
            return await self._is_alive()
        except GatewayError as error:
            self._over(End(str(error), gateway=True))
            return False

    async def _death(self) -> None:
        """Wait a little for the process of a lost connection, so that it can be told how it ended."""
        end = asyncio.get_running_loop().time() + _DEATH_SECONDS
        while await self._is_alive() and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_QUEUE_SECONDS)

    async def _all_published(self, seconds: float) -> None:
        assert self._idle is not None  # noqa: S101  `_expect` has made it
        await asyncio.wait([self._idle], timeout=seconds)

    # --- what comes -------------------------------------------------------------------

    def _read(self, reading: Coroutine[Any, Any, None]) -> None:
        self._readers.append(asyncio.create_task(reading))

    async def _read_line(self, reader: StreamReader) -> None:
        with contextlib.suppress(IncompleteReadError, ConnectionError):
            while self.end is None:
                try:
                    self._note_frame(await read_frame(reader))
                except LimitOverrunError:
                    self._over(End(GARBLED))
        self._over(End("its connection was closed"))

    async def _read_channel(self, channel: Any, note: Callable[[Message], None]) -> None:
        while True:
            try:
                message = await self._channels.next(channel)
                if message["parent_header"].get("msg_id") == self._message_id:
                    note(message)
                elif self._is_open and _tells_of_restart(message):
                    not_begun = End(_NOT_BEGUN, gateway=True)
                    self._over(End(_RESTARTED) if self._is_busy else not_begun)
            except ClosedByGatewayError as error:
                self._over(End(str(error), gateway=True))
                return
            except Exception:
                logger.exception("A message of a kernel could not be read")

    def _note_reply(self, message: Message) -> None:
        if self._ask_id and "frame" in message["content"]:
            self._note_frame(message["content"]["frame"])
        else:
            self._settle(self._reply, message["content"])

    def _note_frame(self, frame: Any) -> None:
        try:
            reply = msgspec.json.decode(frame, type=Reply)
        except (msgspec.MsgspecError, RecursionError, TypeError):
            self._over(End(GARBLED))
            return
        if reply.id == self._ask_id:
            self._settle(self._reply, reply)

    def _note_published(self, message: Message) -> None:
        if message["msg_type"] != "status":
            self._take(message)
        elif message["content"]["execution_state"] == "idle":
            self._settle(self._idle, None)
        else:
            self._is_busy = True

    def _over(self, end: End) -> None:
        """Note that no reply will come any more."""
        self.end = self.end or end
        self._settle(self._reply, None)

    @staticmethod
    def _settle(future: asyncio.Future[Any] | None, value: Any) -> None:
        if future is not None and not future.done():
            future.set_result(value)


def _tells_of_restart(message: Message) -> bool:
    """Whether a gateway, or a kernel that it has started anew, says so: to no request."""
    states = ("restarting", "starting", "dead")
    is_status = message["msg_type"] == "status" and not message["parent_header"]
    return is_status and message["content"]["execution_state"] in states


def _refusal(content: Message, ask_id: str) -> Reply:
    """Make a reply for a kernel that could not make one and says why itself."""
    error = Error(ename=str(content.get("ename")), evalue=str(content.get("evalue")))
    return Reply(id=ask_id, error=error, published=True)


def _ignore(_message: Message) -> None:
    """Drop what was not asked for."""
