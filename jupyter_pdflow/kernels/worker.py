"""What runs inside a production kernel: the setup once, then one step at a time.

`prepare` and `execute` are awaited by constant code; what they work on is in the metadata of
the message that carries it, what came of it is `result()`, in the reply to that message.

Steps are cells of one notebook, so each may use what the cells above it define. To have that
always the same, in a kernel that has run much as in a fresh one, the namespace is kept in
layers: layer 0 is what the setup leaves, layer i+1 is layer i with what the body of step i
defines. Step i starts from exactly layer i. So equal names in several steps don't clash, and
globals that a run sets are gone before the next. (Objects are not copied: a list of the setup
that a handler appends to stays appended to while the kernel lives.)
"""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec

from jupyter_pdflow.handler import call
from jupyter_pdflow.handler.frames import cut, error_of
from jupyter_pdflow.handler.pd import Pd
from jupyter_pdflow.kernels.messages import (
    METADATA,
    MIMETYPE,
    WORKER_VARIABLE,
    Answer,
    Failure,
    Preparation,
)
from jupyter_pdflow.kernels.printing import bounded_printing
from jupyter_pdflow.notebook.cell import interrupts, load_handler, run_source
from jupyter_pdflow.notebook.shown import traceback_lines
from jupyter_pdflow.rules.run import Execution, Outcome
from jupyter_pdflow.rules.workflow import StepSource


class Result:
    """A value that travels in a reply as JSON, whatever its size."""

    def __init__(self, value: Any) -> None:
        self._json = msgspec.json.encode(value).decode()

    def __repr__(self) -> str:
        return "<result>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {MIMETYPE: self._json}


class Worker:
    """The state of a production kernel."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.steps: tuple[StepSource, ...] = ()
        self.layers: list[dict[str, Any]] = []
        self.result = Result(None)

    async def prepare(self, preparation: Preparation) -> Failure | None:
        """Run the setup, and keep the steps for later; a `Failure` says which cell raised."""
        os.environ[WORKER_VARIABLE] = "1"
        # IPython's own end the kernel after the cell, without an error.
        self.shell.user_ns.update(exit=sys.exit, quit=sys.exit)
        self.steps = preparation.steps
        for number, source in enumerate(preparation.setup, start=1):
            try:
                with interrupts():
                    await run_source(self.shell, source, f"<setup {number}>")
            except BaseException as exception:  # noqa: BLE001  the author's code may raise anything
                return Failure(cell=number, error=error_of(cut(exception)))
        self.layers = [dict(self.shell.user_ns)]
        return None

    async def execute(self, execution: Execution) -> Answer:
        """Execute a step: its body, then its handler."""
        with bounded_printing() as dropped:
            outcome = await self._execute(execution)
        return Answer(outcome=outcome, dropped=dropped())

    async def _execute(self, execution: Execution) -> Outcome:
        index = [step.name for step in self.steps].index(execution.step)
        pd = Pd(execution)
        try:
            with interrupts():
                await self._define_steps_before(index)
                handler = await self._define(index)
                outcome = await call.call_handler(handler, pd)
        except BaseException as exception:  # noqa: BLE001  the author's code may raise anything
            outcome = call.failed(pd, exception)
        if pd.exception is not None:
            show_exception(self.shell, pd.exception)
        return outcome

    async def _define_steps_before(self, index: int) -> None:
        """Run bodies of earlier steps that this kernel has not run, without their outputs."""
        from IPython.utils.capture import capture_output

        while len(self.layers) <= index:
            with capture_output():
                await self._define(len(self.layers) - 1)
                self.shell.events.trigger("post_execute")

    async def _define(self, index: int) -> Any:
        """Run the body of a step on its layer; this gives its handler, and the next layer."""
        namespace, layer = self.shell.user_ns, self.layers[index]
        for name in [name for name in namespace if name not in layer]:
            del namespace[name]
        namespace.update(layer)
        step = self.steps[index]
        handler = await load_handler(self.shell, step.source, step.name)
        if len(self.layers) == index + 1:
            self.layers.append(dict(namespace))
        return handler


_worker: Worker | None = None


def worker() -> Worker:
    """Get the worker of this kernel."""
    global _worker  # noqa: PLW0603  a kernel has one shell, and so one worker
    if _worker is None:
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        _worker = Worker(shell)
    return _worker


async def prepare() -> None:
    """Run the setup that came with the message; `result` is None or a `Failure`."""
    preparation = msgspec.json.decode(_payload(), type=Preparation)
    worker().result = Result(await worker().prepare(preparation))


async def execute() -> None:
    """Execute the step that came with the message; `result` is an `Answer`."""
    execution = msgspec.json.decode(_payload(), type=Execution)
    worker().result = Result(await worker().execute(execution))


def result() -> Result:
    """Get what the last `prepare` or `execute` came to."""
    return worker().result


def show_exception(shell: Any, exception: BaseException) -> None:
    """Publish an ``error`` output as IPython does, with the frames that the exception has."""
    lines = traceback_lines(shell, exception)
    shell._showtraceback(type(exception), error_of(exception).evalue, lines)


def _payload() -> str:
    message = worker().shell.kernel.get_parent()
    return str(message["metadata"][METADATA])
