"""How a production kernel comes to answer frames."""

from __future__ import annotations

import asyncio
import sys
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Raw

from jupyter_pdflow.ipykernel_compat import publish_idle_status, refuse_input, restore_input
from jupyter_pdflow.kernels.inside.processes import adopt_orphans
from jupyter_pdflow.kernels.inside.worker import Worker, bounded_printing
from jupyter_pdflow.kernels.messages import (
    MESSAGE,
    Ask,
    Kind,
    Preparation,
    Reply,
    framed,
    read_frame,
)
from jupyter_pdflow.pd.call import error_of
from jupyter_pdflow.rules.run import Error, Execution
from jupyter_pdflow.settings import LIMITS

_NO_LIMIT = 2**40
"""Bytes; the kernel takes whatever the server sends."""


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
        self._methods: dict[Kind, Callable[[Ask], Awaitable[Any]]] = {
            "prepare": self._prepare,
            "execute": self._execute,
        }
        self.server: asyncio.Server | None = None

    async def on_message(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Answer a message on the shell channel, as a handler of ipykernel's does."""
        ask = msgspec.json.decode(parent["content"]["frame"], type=Ask)
        sys.stdout.flush()  # the server knows that this has begun, even if the kernel dies at once
        content = {"frame": _encoded(await self._reply(ask)).decode()}
        self._kernel.session.send(stream, f"{MESSAGE}_reply", content, parent, ident=ident)
        self._worker.restore()

    async def on_connection(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer what comes on the socket."""
        try:
            while True:
                ask = msgspec.json.decode(await read_frame(reader), type=Ask)
                writer.write(framed(_encoded(await self._published(ask))))
                self._worker.restore()  # while the server stores the answer
        except (IncompleteReadError, ConnectionError):
            writer.close()

    async def _published(self, ask: Ask) -> Reply:
        """Answer, and see to it that what is published is marked as this request's."""
        header = {"msg_id": ask.id, "msg_type": MESSAGE, "session": "", "username": ""}
        self._kernel.set_parent([], {"header": header, "metadata": {}, "content": {}})
        reply = await self._reply(ask)
        if reply.published:
            sys.stdout.flush()
            sys.stderr.flush()
            publish_idle_status(self._kernel)
        return reply

    async def _reply(self, ask: Ask) -> Reply:
        """Answer, whatever happens: the server waits for that."""
        # A task of its own: an interrupt that comes late must not cancel the kernel's.
        answering = asyncio.ensure_future(self._answer(ask))
        try:
            return await answering
        except BaseException as exception:  # noqa: BLE001
            return Reply(id=ask.id, error=error_of(exception), published=True, stale=True)

    async def _prepare(self, ask: Ask) -> Any:
        return await self._worker.prepare(msgspec.json.decode(ask.data, type=Preparation))

    async def _execute(self, ask: Ask) -> Any:
        execution = msgspec.json.decode(ask.data, type=Execution)
        return await self._worker.execute(execution, ask.inputs)

    async def _answer(self, ask: Ask) -> Reply:
        session = self._kernel.session
        before = session.message_count
        with bounded_printing() as printing, as_in_a_cell(self._shell):
            answer = await self._methods[ask.kind](ask)
        return Reply(
            id=ask.id,
            data=Raw(msgspec.json.encode(answer)),
            dropped=printing.dropped,
            published=printing.used or session.message_count != before,
            stale=self._worker.stale,
        )


def _encoded(reply: Reply) -> bytes:
    content = msgspec.json.encode(reply)
    if len(content) <= LIMITS.reply_bytes:
        return content
    text = (
        f"What this step exports and mails takes {len(content):,} bytes; the limit is "
        f"{LIMITS.reply_bytes:,}. Write large data to a file and export its path."
    )
    error = Error(ename="ExportError", evalue=text)
    short = Reply(id=reply.id, error=error, published=reply.published, stale=reply.stale)
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
        shell.events.trigger("post_execute")
        shell.events.trigger("post_run_cell", result)
        restore_input(shell.kernel)
