"""Test mode: execute a handler in the session, and report state that it has changed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec.structs import replace

from jupyter_pdflow.exceptions import ExportError, StopRunAll
from jupyter_pdflow.formatting import email_fallback, exports_fallback, format_duration
from jupyter_pdflow.kernels.inside.cell import (
    interrupts,
    load_handler,
    publish,
    publish_words,
    raise_from_cell,
    traceback_lines,
)
from jupyter_pdflow.kernels.inside.processes import Leftovers
from jupyter_pdflow.kernels.inside.state import (
    SETUP,
    Baseline,
    kept_names,
    left_running,
    set_globals,
)
from jupyter_pdflow.notebook.session import Session, notebook_path, server_url
from jupyter_pdflow.notebook.source import with_advice
from jupyter_pdflow.pd.attrs import write_warning
from jupyter_pdflow.pd.call import call_handler, error_of, failed
from jupyter_pdflow.pd.loops import canceling_tasks
from jupyter_pdflow.pd.pd import Pd, session_folder
from jupyter_pdflow.rules.events import Begin, Cancel, Event, Expire, Finish, Resume
from jupyter_pdflow.rules.execution import execution_of
from jupyter_pdflow.rules.run import Execution, ExitCall, Outcome, Pause, Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow, version_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_pdflow.widgets.view import Notice


class StateCheck:
    """Tells a step what it has changed that production would not keep.

    What belongs to the process, and the globals that the handler has set, are put back. Objects
    that it has changed stay changed, as the session is the author's.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session
        self._leftovers = Leftovers()
        self._before = self._names()
        self._baseline = self._take()
        self._defined: dict[str, Any] | None = None

    def defined(self, step: str) -> None:
        """Note what the step's cell has defined, before its handler is called."""
        self._defined = self._names()
        for name, value in self._defined.items():
            if self._before.get(name) is not value:
                self._session.makers[name] = f"the cell of step {step!r}"

    def close(self) -> None:
        """Say what has changed, and put back what can be."""
        found = left_running(self._leftovers) + self._baseline.changes()
        if self._defined is not None:
            found += set_globals(self._defined, self._names())
            self._put_back(self._defined)
        for text in found:
            write_warning(text)
        self._baseline.restore()

    def _names(self) -> dict[str, Any]:
        hidden = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and name not in hidden
        }

    def _take(self) -> Baseline:
        makers = self._session.makers
        by_maker: dict[str, dict[str, Any]] = {SETUP: {}}
        for name, value in self._before.items():
            by_maker.setdefault(makers.get(name, SETUP), {})[name] = value
        is_local = _local_modules(notebook_path())
        keep = kept_names(self._shell)
        baseline = Baseline(by_maker.pop(SETUP), is_local=is_local, keep=keep)
        for maker, names in by_maker.items():
            baseline.add(names, maker)
        return baseline

    def _put_back(self, before: dict[str, Any]) -> None:
        for name in self._names().keys() - before.keys():
            del self._shell.user_ns[name]
        self._shell.user_ns.update(before)


def _local_modules(notebook: Path | None) -> Callable[[str], bool]:
    folder = notebook.parent if notebook is not None and notebook.is_absolute() else Path.cwd()
    folder = folder.resolve()

    @cache
    def is_local(name: str) -> bool:
        if name == "__main__":
            return True
        file = getattr(sys.modules.get(name), "__file__", None)
        if (
            not isinstance(file, str)
            or "site-packages" in file
            or name.startswith("jupyter_pdflow")
        ):
            return False
        return Path(file).resolve().is_relative_to(folder)

    return is_local


_going_on: set[asyncio.Task[None]] = set()


class TestRun:
    """A step that is being tried out, as a run of a workflow of this step alone."""

    def __init__(self, shell: InteractiveShell, session: Session, name: str, body: str) -> None:
        self.shell = shell
        self.session = session
        self.name = name
        self.body = body
        self.handler: Callable[[Pd], Any] | None = None
        self.run = _one_step_run(name, body, session.event)
        self.outcome = Outcome()
        self.exception: BaseException | None = None

    async def execute(self) -> None:
        """Execute the step once, and move its run on."""
        self._move(Begin())
        pd = Pd(self._execution(), test=True, folder=session_folder)
        pd.steps = with_advice(pd.steps, self.session.tests)
        self.outcome = await self._outcome(pd)
        finish = Finish(
            step=self.name,
            execution=self.run.execution,
            attempt=self.run.attempt,
            outcome=self.outcome,
        )
        self._move(finish)
        self._keep_exports()
        self.exception = pd.exception or _as_exception(self.run)

    def decide(self, event: Event, at: datetime | None = None) -> None:
        """Settle the pause; `at` is now unless something else is to be tried out."""
        self._move(event, at)
        self._keep_exports()

    def publish(self) -> None:
        """Display what the execution came to, but for an exception."""
        for email in self.outcome.emails:
            publish(*email_fallback(email))
        if self.exception is not None:
            return
        if self.run.pause is not None:
            self._publish_notice(self.run.pause)
        elif isinstance(self.outcome.flow, ExitCall):
            publish_words(_exit_words(self.outcome.flow))
        elif self.outcome.exports:
            publish(*exports_fallback(self.name, self.outcome.exports))

    @property
    def stops(self) -> bool:
        """Whether production would not go on to the next step by itself now."""
        return self.run.pause is not None or isinstance(self.outcome.flow, ExitCall)

    @property
    def words(self) -> str:
        """What to say of a Run All that stops here, where no output is shown."""
        if isinstance(self.outcome.flow, ExitCall):
            return _exit_words(self.outcome.flow)
        from jupyter_pdflow.widgets.view import NOTICE

        return NOTICE

    def _move(self, event: Event, at: datetime | None = None) -> None:
        self.run = apply(self.run, event, at or datetime.now(UTC)).run
        self.session.tests[self.name] = self.run

    def _keep_exports(self) -> None:
        if self.run.status != "failed":
            self.session.exports[self.name] = self.run.current.exports

    def _execution(self) -> Execution:
        url = server_url().rstrip("/")
        execution = execution_of(self.run, f"{url}/pdflow/resume/test", f"{url}/pdflow/cancel/test")
        others = {name: kept for name, kept in self.session.exports.items() if name != self.name}
        return replace(execution, steps=others)

    async def _outcome(self, pd: Pd) -> Outcome:
        check = StateCheck(self.shell, self.session)
        try:
            with interrupts(), canceling_tasks():
                if self.handler is None:
                    self.handler = await self._load()
                check.defined(self.name)
                return await call_handler(self.handler, pd)
        except BaseException as exception:  # noqa: BLE001  the author's code may raise anything
            return failed(pd, exception)
        finally:
            check.close()

    async def _load(self) -> Callable[[Pd], Any]:
        # The cell's own name, so that tracebacks and the debugger know it.
        number, cell = self.shell.execution_count - 1, f"%%step {self.name}\n{self.body}"
        filename = self.shell.compile.cache("", number, cell)
        return await load_handler(self.shell, self.body, self.name, filename=filename)

    def _publish_notice(self, pause: Pause) -> None:
        from IPython.display import display

        from jupyter_pdflow.widgets.view import Notice

        notice = Notice(
            _pause_words(pause),
            resumed=lambda data: self._go_on(notice, pause, _resume(pause, data)),
            timed_out=lambda: self._go_on(notice, pause, _expire(pause), pause.deadline),
            canceled=lambda: self._go_on(notice, pause, Cancel(by="button")),
        )
        display(notice)  # type: ignore[no-untyped-call]

    def _go_on(
        self, notice: Notice, pause: Pause, event: Event, at: datetime | None = None
    ) -> None:
        if self.run.pause is not pause or self.session.tests.get(self.name) is not self.run:
            notice.say(f"Step {self.name} was run again since; go on from its newest notice.")
            return
        self.decide(event, at)
        notice.say(_decision_message(self.run))
        if self.run.status == "queued":
            task = asyncio.ensure_future(self._execute_again(notice))
            _going_on.add(task)
            task.add_done_callback(_going_on.discard)

    async def _execute_again(self, notice: Notice) -> None:
        from IPython.utils.capture import capture_output

        with capture_output() as captured:
            await self.execute()
            self.publish()
            self.shell.events.trigger("post_execute")
        for output in _outputs(captured):
            notice.add_output(output)
        if self.exception is not None:
            notice.add_output(_error_output(self.shell, self.exception))
        if self.run.ended and not isinstance(self.outcome.flow, ExitCall):
            notice.say(_decision_message(self.run))


async def try_step(shell: InteractiveShell, session: Session, name: str, body: str) -> None:
    """Execute a step in this kernel and show what came of it.

    Raises
    ------
    BaseException
        What the author's code raised.
    StopRunAll
        Production would pause or end here, so the cells below must not run now.
    """
    trial = TestRun(shell, session, name, body)
    await trial.execute()
    trial.publish()
    if trial.exception is not None:
        raise_from_cell(shell, trial.exception)
    if trial.stops:
        raise_from_cell(shell, StopRunAll(trial.words))


def _one_step_run(name: str, body: str, event: Any) -> Run:
    path = notebook_path()
    now = datetime.now(UTC)
    step = StepSource(name=name, source=body)
    source = Source(kernel_name="", setup=(), steps=(step,))
    workflow = Workflow(
        id="test",
        name=path.stem if path else "notebook",
        version=version_of(source),
        path=path.as_posix() if path else "",
        source=source,
        created_at=now,
    )
    return new_run(f"test-{uuid4().hex[:12]}", workflow, event, now).run


def _as_exception(run: Run) -> BaseException | None:
    """Make an exception of an error that the rules found, such as exports too large."""
    return None if run.error is None else ExportError(run.error.evalue)


def _resume(pause: Pause, data: Any) -> Event:
    request = {
        "method": "POST",
        "path": "/pdflow/resume/test",
        "url": f"{server_url().rstrip('/')}/pdflow/resume/test",
        "query": {},
        "headers": {},
        "body": data,
        "client_ip": "127.0.0.1",
    }
    return Resume(step=pause.step, execution=pause.execution, by="button", request=request)


def _expire(pause: Pause) -> Event:
    return Expire(step=pause.step, execution=pause.execution)


def _pause_words(pause: Pause) -> str:
    wait = format_duration(pause.deadline - pause.since)
    what = {
        "suspend": f"wait here to be resumed or cancelled, for {wait}",
        "rerun": f"run this step again after {wait}, or when its resume_url is called",
        "delay": f"wait here for {wait}",
    }[pause.kind]
    return f"In production, the run would now {what}. Go on:"


def _exit_words(call: ExitCall) -> str:
    reason = f": {call.exit_reason.rstrip('.')}" if call.exit_reason else ""
    return (
        f"pd.flow.exit() — in production the run would end here as succeeded{reason}. "
        "No later step would run, so a Run All stops here."
    )


def _decision_message(run: Run) -> str:
    match run.status:
        case "queued":
            return f"Step {run.current.name} runs again, as run {run.current.runs}:"
        case "succeeded":
            kept = "; its $resume_data is set" if "$resume_data" in run.current.exports else ""
            return f"Step {run.current.name} has ended{kept}. The next step can now be run."
        case "canceled":
            words = "In production the run would be canceled here; no later step would run."
            return f"{run.reason} {words}" if run.reason else words
    error = run.error.evalue if run.error else ""
    return f"In production the run would fail here: {error}"


def _outputs(captured: Any) -> list[dict[str, Any]]:
    streams = [("stdout", captured.stdout), ("stderr", captured.stderr)]
    texts = [
        {"output_type": "stream", "name": name, "text": text} for name, text in streams if text
    ]
    shown = [
        {"output_type": "display_data", "data": rich.data, "metadata": rich.metadata or {}}
        for rich in captured.outputs
    ]
    return [*texts, *shown]


def _error_output(shell: InteractiveShell, error: BaseException) -> dict[str, Any]:
    return {
        "output_type": "error",
        "ename": type(error).__name__,
        "evalue": error_of(error).evalue,
        "traceback": traceback_lines(shell, error),
    }
