"""The connection to a kernel: one request at a time, its reply, and what is published meanwhile."""

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
from jupyter_pdflow.kernels.channels import Channels, Message
from jupyter_pdflow.kernels.messages import (
    LISTEN,
    MESSAGE,
    WorkerReply,
    WorkerRequest,
    framed,
    read_frame,
)
from jupyter_pdflow.rules.run import Error
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

OnMessage = Callable[[Message], None]

_ALIVE_CHECK_SECONDS = 0.5
"""How long to wait for a reply before the process is checked, and for a process to end."""

_IDLE_SECONDS = 2.0
"""How long to wait, after a reply, for the status ``idle`` that ends what was published."""

_SHORT_IDLE_SECONDS = 0.2
"""The same if the kernel died, or may not have subscribed to the iopub channel yet."""

_POLL_SECONDS = 0.02

_UNANSWERED_CHECKS = 20
"""Checks after which an idle kernel's reply counts as lost."""

UNREADABLE_REPLY = (
    "its answer could not be read, perhaps because code wrote to a file descriptor that is not "
    "its own, or its environment has another version of jupyter_pdflow"
)
_RESTARTED = "its gateway has restarted it"
_NOT_BEGUN = "The kernel gateway has restarted a kernel before it began to execute the request."
_UNANSWERED = "it was restarted, or its answer was lost"


class Disconnect(NamedTuple):
    """Why a kernel can't be reached any more.

    Attributes
    ----------
    reason : str
        The reason, for messages.
    by_gateway : bool
        Whether the gateway caused it, and not the code that the kernel executed.
    """

    reason: str
    by_gateway: bool = False


class Connection:
    """The connection to a kernel, between `open` and `close`.

    Parameters
    ----------
    client : AsyncKernelClient
        Jupyter's client of the kernel.
    is_alive : callable
        Returns whether the kernel's process is alive; raises `GatewayError` if its gateway has
        ended.

    Attributes
    ----------
    disconnect : Disconnect or None
        Set once the kernel can't be reached any more.
    """

    def __init__(
        self, client: Any, is_alive: Callable[[], Awaitable[bool]], limits: Limits = LIMITS
    ) -> None:
        self._limit = limits.reply_bytes
        self.disconnect: Disconnect | None = None
        self._channels = Channels(client)
        self._is_alive = is_alive
        self._readers: list[asyncio.Task[None]] = []
        self._socket_path: Path | None = None
        self._writer: StreamWriter | None = None
        self._is_open = False
        self._message_id = ""
        self._request_id = ""
        self._is_busy = False
        self._reply: asyncio.Future[Any] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._on_message: OnMessage = _ignore

    @property
    def has_socket(self) -> bool:
        """Whether the kernel is on this machine and has a socket for frames."""
        return self._writer is not None

    async def open(self) -> bool:
        """Start the channels and wait until the kernel answers on both.

        Returns
        -------
        bool
            Whether it answered; False if it died.

        Raises
        ------
        GatewayError
            The kernel's gateway can't be reached.
        """
        await self._channels.start()
        for channel, handle in (
            (self._channels.shell, self._on_reply),
            (self._channels.iopub, self._on_published),
        ):
            self._read(self._read_channel(channel, handle))
        while not self._is_open:
            # Subscriptions to iopub take effect some time after the connection: ask until its
            # status arrives there too.
            if (
                await self._shell_request("kernel_info", {}, idle_seconds=_SHORT_IDLE_SECONDS)
                is None
            ):
                return False
            self._is_open = self._idle is not None and self._idle.done()
        return True

    async def load_worker(self, path: Path | None) -> Message:
        """Load the worker.

        Parameters
        ----------
        path : Path or None
            Where the kernel makes a Unix socket for frames; None if it is not on this machine.

        Returns
        -------
        dict
            The content of the kernel's reply; empty if the kernel died.
        """
        code = LISTEN.format(path=None if path is None else str(path))
        content = {"code": code, "silent": True, "store_history": False, "allow_stdin": False}
        reply = await self._shell_request("execute", content)
        if path is not None and reply is not None and reply.get("status") == "ok":
            self._socket_path = path
            reader, self._writer = await asyncio.open_unix_connection(path, limit=self._limit)
            self._read(self._read_socket(reader))
        return reply or {}

    async def request(self, request: WorkerRequest, on_message: OnMessage) -> WorkerReply | None:
        """Send a request to the worker and wait for its reply; replies to others are dropped.

        Parameters
        ----------
        request : WorkerRequest
            The request.
        on_message : callable
            Called with each message that the kernel publishes meanwhile, except ``status``.

        Returns
        -------
        WorkerReply or None
            None if the kernel died or the connection was lost; `disconnect` may say why.
        """
        frame = msgspec.json.encode(request)
        if self._writer is None:
            found = await self._shell_request(
                MESSAGE, {"frame": frame.decode()}, on_message, request_id=request.id
            )
            return _error_reply(found, request.id) if isinstance(found, dict) else found
        self._expect_reply(request.id, on_message, request.id)
        try:
            self._writer.write(framed(frame))
            reply: WorkerReply | None = await self._wait_for_reply()
            if reply is None or reply.published:
                await self._wait_until_idle(_SHORT_IDLE_SECONDS if reply is None else _IDLE_SECONDS)
        finally:
            self._expect_reply("", _ignore)
        return reply

    async def close(self) -> None:
        """Stop the channels and free what they took."""
        for reader in self._readers:
            reader.cancel()
        if self._readers:
            await asyncio.wait(self._readers)
        if self._writer is not None:
            self._writer.close()
        if self._socket_path is not None:
            self._socket_path.unlink(missing_ok=True)
        await self._channels.stop()

    # --- a request --------------------------------------------------------------------

    async def _shell_request(
        self,
        kind: str,
        content: Message,
        on_message: OnMessage | None = None,
        *,
        request_id: str = "",
        idle_seconds: float = _IDLE_SECONDS,
    ) -> Any:
        """Send a request on the shell channel; return its reply's content, a frame, or None."""
        message = self._channels.message(f"{kind}_request", content)
        self._expect_reply(message["header"]["msg_id"], on_message or _ignore, request_id)
        try:
            await self._send(message)
            reply = await self._wait_for_reply()
            await self._wait_until_idle(_SHORT_IDLE_SECONDS if reply is None else idle_seconds)
        finally:
            self._expect_reply("", _ignore)
        return reply

    async def _send(self, message: Message) -> None:
        try:
            await self._channels.send(message)
        except ClosedByGatewayError as error:
            self._set_disconnect(Disconnect(str(error), by_gateway=True))

    def _expect_reply(self, message_id: str, on_message: OnMessage, request_id: str = "") -> None:
        self._message_id, self._on_message, self._request_id = message_id, on_message, request_id
        self._is_busy = False
        if message_id:
            loop = asyncio.get_running_loop()
            self._reply, self._idle = loop.create_future(), loop.create_future()
            if self.disconnect is not None:
                self._reply.set_result(None)

    async def _wait_for_reply(self) -> Any:
        assert self._reply is not None  # noqa: S101  `_expect_reply` has made it
        unanswered = 0
        while not self._reply.done():
            await asyncio.wait([self._reply], timeout=_ALIVE_CHECK_SECONDS)
            if self._reply.done():
                break
            if not await self._is_kernel_alive():
                return None
            # A gateway may restart a kernel so fast that it seems alive throughout, and idle.
            unanswered += self._idle is not None and self._idle.done()
            if unanswered > _UNANSWERED_CHECKS:
                self._set_disconnect(Disconnect(_UNANSWERED))
        if self._reply.result() is None and self._writer is not None:
            await self._wait_for_exit()
        return self._reply.result()

    async def _is_kernel_alive(self) -> bool:
        try:
            return await self._is_alive()
        except GatewayError as error:
            self._set_disconnect(Disconnect(str(error), by_gateway=True))
            return False

    async def _wait_for_exit(self) -> None:
        """Wait a little for the process to end: its exit status explains the lost connection."""
        end = asyncio.get_running_loop().time() + _ALIVE_CHECK_SECONDS
        while await self._is_alive() and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    async def _wait_until_idle(self, seconds: float) -> None:
        assert self._idle is not None  # noqa: S101  `_expect_reply` has made it
        await asyncio.wait([self._idle], timeout=seconds)

    # --- incoming messages --------------------------------------------------------------

    def _read(self, reading: Coroutine[Any, Any, None]) -> None:
        self._readers.append(asyncio.create_task(reading))

    async def _read_socket(self, reader: StreamReader) -> None:
        with contextlib.suppress(IncompleteReadError, ConnectionError):
            while self.disconnect is None:
                try:
                    self._on_frame(await read_frame(reader))
                except LimitOverrunError:
                    self._set_disconnect(Disconnect(UNREADABLE_REPLY))
        self._set_disconnect(Disconnect("its connection was closed"))

    async def _read_channel(self, channel: Any, handle: Callable[[Message], None]) -> None:
        while True:
            try:
                message = await self._channels.next(channel)
                if message["parent_header"].get("msg_id") == self._message_id:
                    handle(message)
                elif self._is_open and _is_restart(message):
                    not_begun = Disconnect(_NOT_BEGUN, by_gateway=True)
                    self._set_disconnect(Disconnect(_RESTARTED) if self._is_busy else not_begun)
            except ClosedByGatewayError as error:
                self._set_disconnect(Disconnect(str(error), by_gateway=True))
                return
            except Exception:
                logger.exception("A message of a kernel could not be read")

    def _on_reply(self, message: Message) -> None:
        if self._request_id and "frame" in message["content"]:
            self._on_frame(message["content"]["frame"])
        else:
            self._resolve(self._reply, message["content"])

    def _on_frame(self, frame: Any) -> None:
        try:
            reply = msgspec.json.decode(frame, type=WorkerReply)
        except (msgspec.MsgspecError, RecursionError, TypeError):
            self._set_disconnect(Disconnect(UNREADABLE_REPLY))
            return
        if reply.id == self._request_id:
            self._resolve(self._reply, reply)

    def _on_published(self, message: Message) -> None:
        if message["msg_type"] != "status":
            self._on_message(message)
        elif message["content"]["execution_state"] == "idle":
            self._resolve(self._idle, None)
        else:
            self._is_busy = True

    def _set_disconnect(self, disconnect: Disconnect) -> None:
        """Record that no reply will come any more; the first reason counts."""
        self.disconnect = self.disconnect or disconnect
        self._resolve(self._reply, None)

    @staticmethod
    def _resolve(future: asyncio.Future[Any] | None, value: Any) -> None:
        if future is not None and not future.done():
            future.set_result(value)


def _is_restart(message: Message) -> bool:
    """Whether a status says that the kernel was restarted; it has no request as its parent."""
    states = ("restarting", "starting", "dead")
    is_status = message["msg_type"] == "status" and not message["parent_header"]
    return is_status and message["content"]["execution_state"] in states


def _error_reply(content: Message, request_id: str) -> WorkerReply:
    """Return the reply for a kernel whose handler of messages raised."""
    error = Error(ename=str(content.get("ename")), evalue=str(content.get("evalue")))
    return WorkerReply(id=request_id, error=error, published=True)


def _ignore(_message: Message) -> None:
    """Drop what is published while no request is under way."""
