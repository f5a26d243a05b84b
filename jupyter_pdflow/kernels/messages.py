"""What passes between a production kernel and the server, beside Jupyter's own messages."""

from __future__ import annotations

from msgspec import Struct

from jupyter_pdflow.rules.run import Error, Outcome
from jupyter_pdflow.rules.workflow import StepSource

METADATA = "jupyter_pdflow"
"""Key of an ``execute_request``'s metadata that holds what `worker` works on, as JSON text."""

MIMETYPE = "application/vnd.jupyter-pdflow+json"
"""Type of what came of it, as JSON text among the reply's ``user_expressions``."""

WORKER_VARIABLE = "JUPYTER_PDFLOW_WORKER"
"""Environment variable that is set in production kernels only."""

PRINT_LIMIT = 10_000_000
"""Letters that one step may print to each stream; what is beyond never leaves the kernel."""

CHECK = "import jupyter_pdflow.kernels.worker"
PREPARE = "await __import__('jupyter_pdflow.kernels.worker', fromlist=['_']).prepare()"
EXECUTE = "await __import__('jupyter_pdflow.kernels.worker', fromlist=['_']).execute()"
RESULT = "__import__('jupyter_pdflow.kernels.worker', fromlist=['_']).result()"


class Preparation(Struct, frozen=True, kw_only=True):
    """The setup that a kernel runs once, and the steps that it may be asked to execute."""

    setup: tuple[str, ...]
    steps: tuple[StepSource, ...]


class Answer(Struct, frozen=True, kw_only=True):
    """What a step came to, and how many letters of its output were not even sent."""

    outcome: Outcome
    dropped: int = 0


class Failure(Struct, frozen=True, kw_only=True):
    """Which setup cell failed, counted from 1, and how."""

    cell: int
    error: Error
