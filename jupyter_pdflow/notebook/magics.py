"""The magics ``%%step``, ``%pdflow``, ``%keep`` and ``%queue``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from textwrap import dedent
from types import FrameType
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from jupyter_pdflow.exceptions import BadRequestError, StepError
from jupyter_pdflow.kernels.inside.cell import publish_text
from jupyter_pdflow.kernels.inside.state import keep
from jupyter_pdflow.notebook.options import check_queue
from jupyter_pdflow.notebook.session import Session
from jupyter_pdflow.notebook.steps import (
    STEP_HEADER,
    STEP_MAGIC,
    Header,
    check_name,
    find_headers,
    split_step,
)
from jupyter_pdflow.notebook.testmode import execute_step
from jupyter_pdflow.settings import WORKER_VARIABLE

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SHELL_ATTRIBUTE = "pdflow"
"""The shell's attribute that holds the magics, for the code that a step cell becomes."""
_MAGICS = f"get_ipython().{SHELL_ATTRIBUTE}"

BEGIN = (
    "A cell whose first line is `%%step NAME` and that defines `handler(pd)` is a step: run it to "
    "try it here. `%pdflow production` makes a workflow of the saved notebook."
)
"""How to begin."""

HELP = dedent("""\
    %pdflow test           step cells execute here, and pauses are only shown
    %pdflow event [JSON]   set the event of test mode, or show it
    %pdflow answer [JSON]  answer the pause of the next step cell in test mode, so that a
                           Run All continues; or with --reject, or --timeout
    %pdflow production     deploy the saved notebook; step cells show its latest run
    %pdflow run [JSON]     start a production run with that event
    %pdflow runs           show the notebook's production runs
    %pdflow load RUN       bring a run's exports and event into this session""")


def load(shell: InteractiveShell) -> None:
    """Register the magics; in a production kernel those of `ProductionMagics`."""
    if os.environ.get(WORKER_VARIABLE):
        shell.register_magics(ProductionMagics)
        return
    if hasattr(shell, SHELL_ATTRIBUTE):
        return
    magics = PDFlowMagics(shell)
    shell.register_magics(magics)
    setattr(shell, SHELL_ATTRIBUTE, magics)
    # Before IPython's own, which remove prompts: behind a prompt a deploy refuses a header.
    shell.input_transformers_cleanup.insert(0, magics.await_step)
    publish_text(f"This notebook is in test mode. {BEGIN}")


def unload(shell: InteractiveShell) -> None:
    """Remove the magics."""
    if not hasattr(shell, SHELL_ATTRIBUTE):
        return
    shell.input_transformers_cleanup.remove(getattr(shell, SHELL_ATTRIBUTE).await_step)
    delattr(shell, SHELL_ATTRIBUTE)
    for kind, name in (
        ("cell", "step"),
        *(("line", name) for name in ("pdflow", "keep", "queue")),
    ):
        shell.magics_manager.magics[kind].pop(name, None)


@magics_class
class PDFlowMagics(Magics):
    """The magics of one shell, and its session."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        # `Magics.shell` may be None for a type checker.
        self.typed_shell = shell
        self.session = Session()

    async def run_step(self, line: str, body: str) -> None:
        """Execute a step cell in test mode, or show the step's latest run in production mode.

        A step cell becomes a call of this method, so that its handler can be awaited.

        Parameters
        ----------
        line : str
            What follows ``%%step`` in the cell's first line.
        body : str
            The lines below.

        Raises
        ------
        StepError
            The name is wrong or taken, or the body has another step's header.
        """
        name = check_name(line)
        for header in _misplaced_headers(f"\n{body}"):
            self.refuse(header.refusal("This cell"))
        # In production mode too: a deploy compares the saved notebook with the cells as run last.
        self._record_step(name, body)
        if self.session.production:
            from jupyter_pdflow.notebook.production import show_step

            show_step(name)
            return
        await execute_step(self.typed_shell, self.session, name, body)

    def _record_step(self, name: str, body: str) -> None:
        request = _request(self.typed_shell)
        cell_id = _cell_id(request)
        self.session.record_step(name, body, cell_id)
        if cell_id is not None:
            self.session.requests[name] = request

    def await_step(self, lines: list[str]) -> list[str]:
        """Return the lines of a step cell as code that awaits `run_step`; other cells unchanged.

        A cell magic can't await, and an ``async`` handler has to run in the kernel's own loop.
        A cell with a misplaced header becomes code that refuses to run.
        """
        source = "".join(lines)
        parts = split_step(source)
        if parts is None or _in_cell_magic():
            return _refusing_code(source) or lines
        return [f"await {_MAGICS}.run_step{parts!r}\n"] if self.typed_shell.autoawait else lines

    # IPython then leaves it out while a terminal asks whether a cell being typed is complete.
    await_step.has_side_effects = True  # type: ignore[attr-defined]

    def refuse(self, message: str) -> None:
        """Refuse to run a cell; a misplaced header becomes a call of this method.

        Raises
        ------
        StepError
            Always.
        """
        raise StepError(message)

    @cell_magic
    def step(self, line: str, cell: str) -> None:
        """Make this cell a step of the workflow.

        The first line is ``%%step NAME``; the rest is Python that defines ``handler(pd)``. In
        test mode the handler is executed here and now, see ``%pdflow``.
        """
        # Called only where `await_step` does not apply: by `run_cell_magic`, or without autoawait.
        _, body = split_step(f"{STEP_HEADER} {line}\n{cell}") or ("", cell)
        _run_to_end(self.run_step(line.strip(), body))

    @no_var_expand
    @line_magic
    def pdflow(self, line: str) -> None:
        """Switch between test and production, and work with production runs.

        ``%pdflow``                 shows the mode and these lines
        ``%pdflow test``            step cells execute here
        ``%pdflow event [JSON]``    sets the event of test mode, or shows it
        ``%pdflow answer [JSON]``   answers the pause of the next step cell in test mode, as do
                                    ``%pdflow answer --reject`` and ``%pdflow answer --timeout``
        ``%pdflow production``      deploys the saved notebook; step cells show its latest run
        ``%pdflow run [JSON]``      starts a production run with that event
        ``%pdflow runs``            shows the notebook's production runs
        ``%pdflow load RUN``        brings a run's exports and event into this session
        """
        execute_line(self.session, line)

    @no_var_expand
    @line_magic
    def keep(self, line: str) -> None:
        """Let steps change the values of these names: ``%keep session cache``.

        For caches and connections that the setup makes. A change of any other value is
        reported, because later steps and runs in production don't see it.
        """
        keep(self.typed_shell, line)

    @no_var_expand
    @line_magic
    def queue(self, line: str) -> None:
        """Name the queue in which the workflow's production runs wait: ``%queue NAME``.

        Workers that share a database are started for queues. Here the name is only checked.
        """
        check_queue(line)


@magics_class
class ProductionMagics(Magics):
    """The line magics of a production kernel: ``%pdflow`` and ``%queue`` do nothing there."""

    @line_magic
    def pdflow(self, line: str) -> None:
        """Do nothing."""

    @no_var_expand
    @line_magic
    def keep(self, line: str) -> None:
        """Let steps change the values of these names."""
        keep(self.shell, line)

    @line_magic
    def queue(self, line: str) -> None:
        """Do nothing: a deploy has read it."""


# --- step cells -----------------------------------------------------------------------


def _refusing_code(source: str) -> list[str]:
    """Return code that refuses to run this source, or no lines if it has no misplaced header."""
    where = "What is below this cell magic" if _in_cell_magic() else "This cell"
    headers = _misplaced_headers(source)
    return [f"{_MAGICS}.refuse({header.refusal(where)!r})\n" for header in headers[:1]]


def _misplaced_headers(source: str) -> list[Header]:
    """Return the headers that IPython would not run as a step.

    The bodies of cell magics are left out: IPython has them transformed on their own. So are
    calls of ``run_cell_magic``, which do run a step here.
    """
    headers = find_headers(source, (STEP_MAGIC,), bodies=False)
    return [header for header in headers if "_magic(" not in header.text]


def _in_cell_magic() -> bool:
    """Whether the source being transformed is the body of a cell magic, such as ``%%time``.

    IPython does not pass that on to its transformers; only the call stack shows it.
    """
    from IPython.core.interactiveshell import InteractiveShell

    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not InteractiveShell.run_cell_magic.__code__:
        frame = frame.f_back
    return frame is not None


def _request(shell: Any) -> dict[str, Any]:
    """Return the request that executes this cell; empty in a terminal."""
    return dict(shell.get_parent()) if hasattr(shell, "get_parent") else {}


def _cell_id(request: dict[str, Any]) -> str | None:
    """Return the id of the executing cell, which JupyterLab sends, or None."""
    cell_id = (request.get("metadata") or {}).get("cellId")
    return cell_id if isinstance(cell_id, str) else None


def _run_to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end from synchronous code.

    Raises
    ------
    StepError
        A loop is running, as in a kernel, and the coroutine has to wait for it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    # A running loop can't be entered again. A step whose handler is not async never waits, so
    # that it ends with the first `send`.
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    msg = "An async handler can't be awaited from here: run its step cell by itself."
    raise StepError(msg)


# --- the lines of %pdflow -------------------------------------------------------------


def execute_line(session: Session, line: str) -> None:
    """Execute a ``%pdflow`` line.

    Raises
    ------
    BadRequestError
        There is no such line, or its arguments are wrong.
    PDFlowError
        It can't be carried out.
    """
    verb, _, argument = line.strip().partition(" ")
    action = _ACTIONS.get(verb)
    if action is None:
        msg = f"There is no `%pdflow {verb[:40]}`. These are the lines:\n{HELP}"
        raise BadRequestError(msg)
    action(session, argument.strip())


def _status(session: Session, argument: str) -> None:
    _check_empty("", argument)
    from jupyter_pdflow.kernels.inside.cell import publish

    text = f"This session is in {_mode(session)} mode. {BEGIN}\n{HELP}"
    publish(text, f"<pre>{text}</pre>")


def _test(session: Session, argument: str) -> None:
    _check_empty("test", argument)
    session.production = False
    publish_text("Test mode: step cells execute here, and pauses are only shown.")


def _event(session: Session, argument: str) -> None:
    from jupyter_pdflow.fallbacks import event_fallback
    from jupyter_pdflow.kernels.inside.cell import publish

    if argument:
        session.event = _parse_json(argument, "event")
    publish(*event_fallback(session.event))


def _answer(session: Session, argument: str) -> None:
    if session.production:
        return
    from jupyter_pdflow.notebook.answers import GivenAnswer

    match argument:
        case "--reject":
            session.answer = GivenAnswer("reject")
        case "--timeout":
            session.answer = GivenAnswer("time_out")
        case _:
            data = _parse_json(argument, "answer") if argument else None
            session.answer = GivenAnswer("resume", data)


def _production(session: Session, argument: str) -> None:
    _check_empty("production", argument)
    from jupyter_pdflow.formatting import version_text
    from jupyter_pdflow.notebook.production import deploy, replace_test_outputs

    workflow = deploy(session)
    session.production, session.answer = True, None
    version = version_text(workflow.number, workflow.version)
    # Two outputs: JupyterLab's toolbar has room for one sentence.
    publish_text(f"Production mode: {workflow.name} is deployed as {version}.")
    publish_text("Step cells show its latest run; start one with `%pdflow run`.")
    for warning in workflow.warnings:
        publish_text(warning)
    replace_test_outputs(session, workflow)


def _run(_session: Session, argument: str) -> None:
    from jupyter_pdflow.notebook.production import start

    start(_parse_json(argument, "run") if argument else {})


def _runs(_session: Session, argument: str) -> None:
    _check_empty("runs", argument)
    from jupyter_pdflow.notebook.production import show_runs

    show_runs()


def _load(session: Session, run_id: str) -> None:
    if not run_id or " " in run_id:
        msg = "Name the run to load: `%pdflow load RUN`, with an id that `%pdflow runs` shows."
        raise BadRequestError(msg)
    from jupyter_pdflow.notebook.production import load_run

    steps = ", ".join(load_run(session, run_id)) or "no step yet"
    publish_text(f"Loaded the event and the exports ({steps}) of run {run_id} into this session.")


_ACTIONS: dict[str, Callable[[Session, str], None]] = {
    "": _status,
    "test": _test,
    "event": _event,
    "answer": _answer,
    "production": _production,
    "run": _run,
    "runs": _runs,
    "load": _load,
}


def _mode(session: Session) -> str:
    return "production" if session.production else "test"


def _check_empty(verb: str, argument: str) -> None:
    if argument:
        msg = f"`%pdflow {verb}` takes no argument; remove {argument[:40]!r}."
        raise BadRequestError(msg)


def _parse_json(text: str, verb: str) -> Any:
    """Return the JSON argument of ``%pdflow VERB``; raises `BadRequestError` if it is not JSON."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        # Half a surrogate pair passes `loads`, but can't be sent or stored.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        what = "answer" if verb == "answer" else "event"
        example = f'`%pdflow {verb} {{"name": "value"}}`'
        msg = f"The {what} is not JSON ({error}); write it as in {example}."
        raise BadRequestError(msg) from None
    return value


def _refuse_constant(name: str) -> None:
    """Refuse NaN and the infinities, which `json.loads` would take."""
    msg = f"JSON has no {name}"
    raise ValueError(msg)
