"""What passes between a production kernel and the server, beside Jupyter's own messages.

A request to the worker in a kernel, `Ask`, and its `Reply` travel as JSON in *frames*: to local
kernels by a Unix socket of their own, to others inside messages of our own on the shell channel.
An ``execute_request`` for each step would cost several times as much as the step: it compiles
its code, echoes its input, evaluates expressions, and passes three threads on its way.
"""

from __future__ import annotations

from asyncio import StreamReader
from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from jupyter_pdflow.pd.inputs import GivenInputs
from jupyter_pdflow.rules.run import Error
from jupyter_pdflow.rules.workflow import ModuleSource, StepSource

MESSAGE = "jupyter_pdflow"
"""Type of the messages that carry a ``frame``, before ``_request`` and ``_reply``."""

LISTEN = (
    "await __import__('jupyter_pdflow.kernels.inside.listener', fromlist=['_']).listen({path!r})"
)
"""Code that has a kernel answer frames, also on a socket at that path if there is one."""

PRINT_LIMIT = 10_000_000
"""Characters that one step may print to each stream; what is beyond never leaves the kernel."""

_END = b"\n"
"""Ends a frame on a socket. JSON has none inside, so what does not belong there spoils one frame,
and never makes the reader wait for bytes that do not come."""


Kind: TypeAlias = Literal["prepare", "execute"]


class Ask(Struct, frozen=True, kw_only=True):
    """A request to the worker.

    ``prepare`` takes a `Preparation` and gives null or a `Failure`; ``execute`` takes an
    `Execution` and gives an `Outcome`. What is published meanwhile has ``id`` as its parent.
    ``inputs`` are for a kernel that can't read the server's file.
    """

    id: str
    kind: Kind
    data: Raw
    inputs: GivenInputs | None = None


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of the request ``id``, or in ``error`` why the worker could not carry it out.

    After a reply that is ``stale`` the kernel is not any more as the setup left it. ``dropped``
    counts the characters of output that were not even sent. Where nothing was ``published``,
    there is nothing to wait for on the iopub channel.
    """

    id: str
    data: Raw = Raw(b"null")
    error: Error | None = None
    dropped: int = 0
    published: bool = False
    stale: bool = False


class Preparation(Struct, frozen=True, kw_only=True):
    """The setup that a kernel runs once, and the steps that it may be asked to execute.

    ``cwd`` is the directory to work in, where that is another than it was started in and the
    kernel has it.
    """

    setup: tuple[str, ...]
    steps: tuple[StepSource, ...]
    modules: tuple[ModuleSource, ...] = ()
    cwd: str | None = None


def framed(content: bytes) -> bytes:
    """Make a frame as it is written to a socket."""
    return content + _END


async def read_frame(reader: StreamReader) -> bytes:
    """Read the content of a frame from a socket; raises what `readuntil` raises."""
    return await reader.readuntil(_END)


class Failure(Struct, frozen=True, kw_only=True):
    """Which setup cell failed, counted from 1, and how."""

    cell: int
    error: Error
