"""How a production kernel answers frames: the listener, and what it does around each request."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Raw

from jupyter_pdflow.ipykernel_compat import publish_idle_status, refuse_input, restore_input
from jupyter_pdflow.kernels.inside.processes import adopt_orphans
from jupyter_pdflow.kernels.inside.worker import Worker
from jupyter_pdflow.kernels.messages import (
    MESSAGE,
    PRINT_LIMIT,
    Kind,
    Preparation,
    WorkerReply,
    WorkerRequest,
    framed,
    read_frame,
)
from jupyter_pdflow.pd.call import error_of
from jupyter_pdflow.rules.run import Error, Execution
from jupyter_pdflow.settings import LIMITS

REDRAWN, REDRAW_SECONDS = 500, 0.08
"""Maximum number of characters of a progress bar, and minimum time between two times it is drawn,
that do not count as printed."""

_NO_LIMIT = 2**40
"""Bytes; the kernel takes requests of any size from its server."""


async def listen(path: str | None = None) -> None:
    """Have this kernel answer frames from now on.

    Parameters
    ----------
    path : str or None
        Where to make a Unix socket for them; without it they come on the shell channel.
    """
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    adopt_orphans()
    listener = Listener(shell)
    shell.kernel.shell_handlers[f"{MESSAGE}_request"] = listener.on_message
    if path is not None:
        listener.server = await asyncio.start_unix_server(
            listener.on_connection, path, limit=_NO_LIMIT
        )


class Listener:
    """Answers frames, one at a time, on the kernel's main thread."""

    def __init__(self, shell: Any) -> None:
        self._worker = Worker(shell)
        self._shell = shell
        self._kernel = shell.kernel
        self._methods: dict[Kind, Callable[[WorkerRequest], Awaitable[Any]]] = {
            "prepare": self._prepare,
            "execute": self._execute,
        }
        self.server: asyncio.Server | None = None

    async def on_message(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Answer a message on the shell channel; ipykernel calls this as a message handler."""
        request = msgspec.json.decode(parent["content"]["frame"], type=WorkerRequest)
        # Waits until the status ``busy`` is sent: the server learns that the request has begun,
        # even if the kernel dies at once.
        sys.stdout.flush()
        content = {"frame": _encoded(await self._reply(request)).decode()}
        self._kernel.session.send(stream, f"{MESSAGE}_reply", content, parent, ident=ident)
        self._worker.restore()

    async def on_connection(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer the requests on the socket until the server closes it."""
        try:
            while True:
                request = msgspec.json.decode(await read_frame(reader), type=WorkerRequest)
                writer.write(framed(_encoded(await self._reply_on_socket(request))))
                # After the reply: restoring takes its time while the server stores the outcome.
                self._worker.restore()
        except (IncompleteReadError, ConnectionError):
            writer.close()

    async def _reply_on_socket(self, request: WorkerRequest) -> WorkerReply:
        """Answer a request, and make it the parent of what is published meanwhile."""
        header = {"msg_id": request.id, "msg_type": MESSAGE, "session": "", "username": ""}
        self._kernel.set_parent([], {"header": header, "metadata": {}, "content": {}})
        reply = await self._reply(request)
        if reply.published:
            # The server waits for the idle status, so all outputs have to be sent before it.
            sys.stdout.flush()
            sys.stderr.flush()
            publish_idle_status(self._kernel)
        return reply

    async def _reply(self, request: WorkerRequest) -> WorkerReply:
        """Answer a request, whatever it raises: the server waits for a reply."""
        # A task of its own: an interrupt that comes late must not cancel the kernel's.
        answering = asyncio.ensure_future(self._carry_out(request))
        try:
            return await answering
        except BaseException as exception:  # noqa: BLE001
            error = error_of(exception)
            return WorkerReply(id=request.id, error=error, published=True, stale=True)

    async def _carry_out(self, request: WorkerRequest) -> WorkerReply:
        session = self._kernel.session
        before = session.message_count
        with limit_printing() as printing, as_in_a_cell(self._shell):
            result = await self._methods[request.kind](request)
        return WorkerReply(
            id=request.id,
            data=Raw(msgspec.json.encode(result)),
            dropped=printing.dropped,
            published=printing.used or session.message_count != before,
            stale=self._worker.stale,
        )

    async def _prepare(self, request: WorkerRequest) -> Any:
        return await self._worker.prepare(msgspec.json.decode(request.data, type=Preparation))

    async def _execute(self, request: WorkerRequest) -> Any:
        execution = msgspec.json.decode(request.data, type=Execution)
        return await self._worker.execute(execution, request.inputs)


def _encoded(reply: WorkerReply) -> bytes:
    content = msgspec.json.encode(reply)
    if len(content) <= LIMITS.reply_bytes:
        return content
    text = (
        f"The exports and emails of this step take {len(content):,} bytes; the limit is "
        f"{LIMITS.reply_bytes:,}. Write large data to a file and export its path."
    )
    error = Error(ename="ExportError", evalue=text)
    short = WorkerReply(id=reply.id, error=error, published=reply.published, stale=reply.stale)
    return msgspec.json.encode(short)


@contextmanager
def as_in_a_cell(shell: Any) -> Iterator[None]:
    """Do what IPython and ipykernel do around a cell: plots are shown, `input` is refused."""
    from IPython.core import interactiveshell

    shells: Any = interactiveshell
    info = shells.ExecutionInfo(
        "", store_history=False, silent=False, shell_futures=True, cell_id=None
    )
    result = shells.ExecutionResult(info)
    refuse_input(shell.kernel)
    shell.events.trigger("pre_execute")
    shell.events.trigger("pre_run_cell", info)
    try:
        with shell.builtin_trap, shell.display_trap:
            yield
    finally:
        # matplotlib's inline backend shows the figures at this event.
        shell.events.trigger("post_execute")
        shell.events.trigger("post_run_cell", result)
        restore_input(shell.kernel)


# --- the limit of what is printed -----------------------------------------------------


class PrintCounter:
    """Counts what was printed within `limit_printing`."""

    def __init__(self, streams: list[_LimitedStream]) -> None:
        self._streams = streams

    @property
    def used(self) -> bool:
        """Whether anything was printed."""
        return any(stream.used for stream in self._streams)

    @property
    def dropped(self) -> int:
        """Number of characters that were dropped."""
        return sum(stream.dropped for stream in self._streams)


@contextmanager
def limit_printing(limit: int = PRINT_LIMIT) -> Iterator[PrintCounter]:
    """Drop what is printed to stdout or stderr beyond a number of characters each.

    The stream objects stay the same ones, since loggers and others hold references to them.
    """
    streams = [_LimitedStream(stream, limit) for stream in (sys.stdout, sys.stderr)]
    try:
        yield PrintCounter(streams)
    finally:
        for stream in streams:
            stream.lift()


class _LimitedStream:
    """Replaces the `write` of a stream by one with a limit, until `lift`.

    Progress bars that are drawn again now and then count nothing, so that those of long steps do
    not stop at the limit.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._write = stream.write
        self._left = limit
        self._drawn_at = 0.0
        self.used = False
        self.dropped = 0
        stream.write = self.write

    def write(self, text: Any) -> Any:
        self.used = True
        size = len(text) if isinstance(text, str) else 0
        if size <= REDRAWN and text[:1] == "\r" and self._may_draw():
            return self._write(text)
        if size <= self._left:
            self._left -= size
            return self._write(text)
        if self._left:
            self._write(text[: self._left])
        self.dropped += size - self._left
        self._left = 0
        return size

    def _may_draw(self) -> bool:
        now = time.monotonic()
        if now < self._drawn_at + REDRAW_SECONDS:
            return False
        self._drawn_at = now
        return True

    def lift(self) -> None:
        # The attribute of the instance hides the method of the class; without it that is back.
        del self._stream.write
