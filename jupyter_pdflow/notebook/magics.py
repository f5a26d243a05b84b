"""The magics ``%%step``, ``%pdflow`` and ``%keep``."""

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
from jupyter_pdflow.kernels.inside.cell import publish_words
from jupyter_pdflow.kernels.inside.state import keep
from jupyter_pdflow.notebook.session import Session
from jupyter_pdflow.notebook.steps import (
    STEP,
    STEP_MAGIC,
    Header,
    check_name,
    find_headers,
    split_step,
)
from jupyter_pdflow.notebook.testmode import try_step
from jupyter_pdflow.settings import WORKER_VARIABLE

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


HELP = dedent("""\
    %pdflow test           step cells execute here, and pauses are only shown
    %pdflow event [JSON]   set the event of test mode, or show it
    %pdflow production     deploy the saved notebook; step cells show its latest run
    %pdflow run [JSON]     start a production run with that event
    %pdflow runs           show the notebook's production runs
    %pdflow load RUN       bring a run's exports and event into this session""")


def command(session: Session, line: str) -> None:
    """Do what a ``%pdflow`` line says.

    Raises
    ------
    BadRequestError
        There is no such line.
    PDFlowError
        What it says can't be done.
    """
    verb, _, rest = line.strip().partition(" ")
    action = _COMMANDS.get(verb)
    if action is None:
        msg = f"There is no `%pdflow {verb[:40]}`. These are the lines:\n{HELP}"
        raise BadRequestError(msg)
    action(session, rest.strip())


def _status(session: Session, rest: str) -> None:
    _check_empty("", rest)
    from jupyter_pdflow.kernels.inside.cell import publish

    text = f"This session is in {_mode(session)} mode.\n{HELP}"
    publish(text, f"<pre>{text}</pre>")


def _test(session: Session, rest: str) -> None:
    _check_empty("test", rest)
    session.production = False
    publish_words("Test mode: step cells execute here, and pauses are only shown.")


def _event(session: Session, rest: str) -> None:
    from jupyter_pdflow.formatting import event_fallback
    from jupyter_pdflow.kernels.inside.cell import publish

    if rest:
        session.event = _json(rest, "event")
    publish(*event_fallback(session.event))


def _production(session: Session, rest: str) -> None:
    _check_empty("production", rest)
    from jupyter_pdflow.notebook.production import deploy

    workflow = deploy(session)
    session.production = True
    publish_words(
        f"Production mode: {workflow['name']} is deployed as version {workflow['version']}. "
        "Step cells show its latest run; start one with `%pdflow run`."
    )
    for warning in workflow.get("warnings", ()):
        publish_words(warning)


def _run(_session: Session, rest: str) -> None:
    from jupyter_pdflow.notebook.production import start

    start(_json(rest, "run") if rest else {})


def _runs(_session: Session, rest: str) -> None:
    _check_empty("runs", rest)
    from jupyter_pdflow.notebook.production import show_runs

    show_runs()


def _load(session: Session, rest: str) -> None:
    if not rest or " " in rest:
        msg = "Name the run to load: `%pdflow load RUN`, with an id that `%pdflow runs` shows."
        raise BadRequestError(msg)
    from jupyter_pdflow.notebook.production import load_run

    names = load_run(session, rest)
    steps = ", ".join(names) or "no step yet"
    publish_words(f"Loaded the event and the exports ({steps}) of run {rest} into this session.")


_COMMANDS: dict[str, Callable[[Session, str], None]] = {
    "": _status,
    "test": _test,
    "event": _event,
    "production": _production,
    "run": _run,
    "runs": _runs,
    "load": _load,
}


def _mode(session: Session) -> str:
    return "production" if session.production else "test"


def _check_empty(verb: str, rest: str) -> None:
    if rest:
        msg = f"`%pdflow {verb}` takes nothing after it, not {rest[:40]!r}."
        raise BadRequestError(msg)


def _json(text: str, verb: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair
    except (ValueError, RecursionError) as error:
        msg = (
            f'The event is not JSON ({error}); write it as in `%pdflow {verb} {{"name": "value"}}`.'
        )
        raise BadRequestError(msg) from None
    return value


def _refuse_constant(name: str) -> None:
    msg = f"{name} is none of its values"
    raise ValueError(msg)


ATTRIBUTE = "pdflow"
"""Where the shell keeps the magics, for the code that a step cell becomes."""
_ME = f"get_ipython().{ATTRIBUTE}"


@magics_class
class PDFlowMagics(Magics):
    """The magics of one shell, and its session."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.here = shell
        self.session = Session()

    async def run_step(self, line: str, body: str) -> None:
        """Run a step cell: what ``%%step`` becomes, so that handlers can be awaited."""
        name = check_name(line)
        for header in _headers(f"\n{body}"):
            self.refuse(header.refusal("This cell"))
        if self.session.production:
            from jupyter_pdflow.notebook.production import show_step

            show_step(name)
            return
        self.session.note(name, body, _cell_id(self.here))
        await try_step(self.here, self.session, name, body)

    def await_step(self, lines: list[str]) -> list[str]:
        """Turn the lines of a step cell into code that awaits it; others stay as they are.

        A cell magic can't await, and an ``async`` handler has to run in the kernel's own loop.
        Where a step's header would not count, the code refuses to run.
        """
        source = "".join(lines)
        parts = split_step(source)
        if parts is None or _in_cell_magic():
            return _refusing(source) or lines
        return [f"await {_ME}.run_step{parts!r}\n"] if self.here.autoawait else lines

    # Not while a terminal asks whether a cell that is being typed is complete.
    await_step.has_side_effects = True  # type: ignore[attr-defined]

    def refuse(self, why: str) -> None:
        """Refuse to run a cell: what a header that would not count becomes.

        Raises
        ------
        StepError
            Always.
        """
        raise StepError(why)

    @cell_magic
    def step(self, line: str, cell: str) -> None:
        """Make this cell a step of the workflow.

        The first line is ``%%step NAME``; the rest is Python that defines ``handler(pd)``. In
        test mode the handler is executed here and now, see ``%pdflow``.
        """
        _, body = split_step(f"{STEP} {line}\n{cell}") or ("", cell)
        _complete(self.run_step(line.strip(), body))

    @no_var_expand
    @line_magic
    def pdflow(self, line: str) -> None:
        """Switch between test and production, and work with production runs.

        ``%pdflow``                 shows the mode and these lines
        ``%pdflow test``            step cells execute here
        ``%pdflow event [JSON]``    sets the event of test mode, or shows it
        ``%pdflow production``      deploys the saved notebook; step cells show its latest run
        ``%pdflow run [JSON]``      starts a production run with that event
        ``%pdflow runs``            shows the notebook's production runs
        ``%pdflow load RUN``        brings a run's exports and event into this session
        """
        command(self.session, line)

    @no_var_expand
    @line_magic
    def keep(self, line: str) -> None:
        """Let steps change what these names stand for: ``%keep session cache``.

        For caches and connections that the setup makes. Of all else, a change is told, as later
        steps and runs in production don't see it.
        """
        keep(self.here, line)


@magics_class
class InertMagics(Magics):
    """What a notebook's own lines of magics are in production."""

    @line_magic
    def pdflow(self, line: str) -> None:
        """Do nothing."""

    @no_var_expand
    @line_magic
    def keep(self, line: str) -> None:
        """Let steps change what these names stand for."""
        keep(self.shell, line)


def load(shell: InteractiveShell) -> None:
    """Register the magics; in a production kernel, only a ``%pdflow`` that does nothing."""
    if os.environ.get(WORKER_VARIABLE):
        shell.register_magics(InertMagics)
        return
    if hasattr(shell, ATTRIBUTE):
        return
    magics = PDFlowMagics(shell)
    shell.register_magics(magics)
    setattr(shell, ATTRIBUTE, magics)
    shell.input_transformers_cleanup.insert(0, magics.await_step)


def unload(shell: InteractiveShell) -> None:
    """Take the magics away again."""
    if not hasattr(shell, ATTRIBUTE):
        return
    shell.input_transformers_cleanup.remove(getattr(shell, ATTRIBUTE).await_step)
    delattr(shell, ATTRIBUTE)
    for kind, name in (("cell", "step"), ("line", "pdflow"), ("line", "keep")):
        shell.magics_manager.magics[kind].pop(name, None)


def _refusing(source: str) -> list[str]:
    """Make the code that refuses to run this source, if a step's header in it would not count."""
    where = "What is below this cell magic" if _in_cell_magic() else "This cell"
    return [f"{_ME}.refuse({header.refusal(where)!r})\n" for header in _headers(source)[:1]]


def _headers(source: str) -> list[Header]:
    """Find what IPython would not run as a step; the bodies of cell magics come here by themselves."""
    headers = find_headers(source, (STEP_MAGIC,), bodies=False)
    return [header for header in headers if "_magic(" not in header.text]


def _in_cell_magic() -> bool:
    """Whether a cell magic, such as ``%%time``, has its body read."""
    from IPython.core.interactiveshell import InteractiveShell

    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not InteractiveShell.run_cell_magic.__code__:
        frame = frame.f_back
    return frame is not None


def _cell_id(shell: Any) -> str | None:
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell_id = (parent.get("metadata") or {}).get("cellId")
    return cell_id if isinstance(cell_id, str) else None


def _complete(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end from synchronous code."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    msg = "An async handler can't be awaited from here: run its step cell by itself."
    raise StepError(msg)
