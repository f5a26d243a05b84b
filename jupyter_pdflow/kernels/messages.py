"""The messages between the server and the worker in a production kernel, beside Jupyter's own.

A `WorkerRequest` and its `WorkerReply` are sent as JSON in *frames*: to local kernels over a Unix
socket of their own, to others inside messages of our own type on the shell channel. An
``execute_request`` for each step would cost several times as much as the step: it compiles its
code, echoes its input, evaluates expressions, and passes three threads on its way.
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
"""Code that has a kernel answer frames; with a path, also on a socket there."""

PRINT_LIMIT = 10_000_000
"""Maximum number of characters that one step prints to each stream; more never leave the kernel."""

_END = b"\n"
"""Ends a frame on a socket.

JSON has no newline inside, so foreign bytes on the socket make one frame unreadable. With the
length of a frame before it, they could make the reader wait for bytes that never come.
"""


Kind: TypeAlias = Literal["prepare", "execute"]


class WorkerRequest(Struct, frozen=True, kw_only=True):
    """A request to the worker.

    Attributes
    ----------
    id : str
        The parent of what the kernel publishes meanwhile.
    kind : str
        ``prepare`` takes a `Preparation` and is answered with null or a `SetupFailure`; ``execute``
        takes an `Execution` and is answered with an `Outcome`.
    data : Raw
        The preparation or the execution.
    inputs : GivenInputs or None
        The values of ``pd.inputs``, for a kernel that can't read the server's file.
    """

    id: str
    kind: Kind
    data: Raw
    inputs: GivenInputs | None = None


class WorkerReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The worker's reply to the request with the same ``id``.

    Attributes
    ----------
    data : Raw
        The result.
    error : Error or None
        Why the worker could not carry out the request.
    dropped : int
        Number of characters of output that the kernel has not sent.
    published : bool
        Whether outputs were published; if not, the iopub channel has nothing to wait for.
    stale : bool
        Whether the kernel is no longer as the setup left it.
    """

    id: str
    data: Raw = Raw(b"null")
    error: Error | None = None
    dropped: int = 0
    published: bool = False
    stale: bool = False


class Preparation(Struct, frozen=True, kw_only=True):
    """The setup that a kernel runs once, and the steps that it executes later.

    Attributes
    ----------
    setup : tuple of str
        The setup cells.
    steps : tuple of StepSource
        All steps of the version.
    modules : tuple of ModuleSource
        Its local modules.
    cwd : str or None
        The directory to change to, if the kernel was started in another one.
    """

    setup: tuple[str, ...]
    steps: tuple[StepSource, ...]
    modules: tuple[ModuleSource, ...] = ()
    cwd: str | None = None


class SetupFailure(Struct, frozen=True, kw_only=True):
    """Which setup cell failed, counted from 1, and with which error."""

    cell: int
    error: Error


def framed(content: bytes) -> bytes:
    """Return a frame as it is written to a socket."""
    return content + _END


async def read_frame(reader: StreamReader) -> bytes:
    """Read a frame from a socket and return its content.

    Raises
    ------
    IncompleteReadError
        The socket was closed.
    LimitOverrunError
        The frame is longer than the reader's limit.
    """
    return await reader.readuntil(_END)
