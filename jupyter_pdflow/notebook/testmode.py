"""Test mode: execute a step's handler in the session, and warn of state that it has changed."""

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
    publish_text,
    raise_from_cell,
    traceback_lines,
)
from jupyter_pdflow.kernels.inside.processes import Leftovers
from jupyter_pdflow.kernels.inside.state import (
    SETUP,
    Baseline,
    global_warnings,
    kept_names,
    leftover_warnings,
)
from jupyter_pdflow.notebook.session import (
    RESUME_DATA,
    Session,
    notebook_path,
    server_url,
    with_advice,
)
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

_background_tasks: set[asyncio.Task[None]] = set()
"""Reruns under way; the loop itself keeps only weak references to its tasks."""


async def execute_step(shell: InteractiveShell, session: Session, name: str, body: str) -> None:
    """Execute a step in this kernel and show its result.

    Raises
    ------
    BaseException
        What the author's code raised.
    StopRunAll
        Production would pause or end here, so the cells below must not run now.
    """
    test_run = TestRun(shell, session, name, body)
    await test_run.execute()
    test_run.publish()
    if test_run.exception is not None:
        raise_from_cell(shell, test_run.exception)
    if test_run.stops:
        raise_from_cell(shell, StopRunAll(test_run.stop_message))


class TestRun:
    """A step executed in test mode, as a run of a workflow that has this step alone.

    It reads the event and the other steps' exports from the session, and stores its own there.
    """

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
        """Execute the step once, and apply the outcome to its run."""
        self._apply(Begin())
        pd = Pd(self._execution(), test=True, folder=session_folder)
        pd.steps = with_advice(pd.steps, self.session.test_runs)
        self.outcome = await self._call(pd)
        finish = Finish(
            step=self.name,
            execution=self.run.execution,
            attempt=self.run.attempt,
            outcome=self.outcome,
        )
        self._apply(finish)
        self._store_exports()
        self.exception = pd.exception or _as_exception(self.run)

    def publish(self) -> None:
        """Display the outcome, except for an exception."""
        for email in self.outcome.emails:
            publish(*email_fallback(email))
        if self.exception is not None:
            return
        if self.run.pause is not None:
            self._publish_notice(self.run.pause)
        elif isinstance(self.outcome.flow, ExitCall):
            publish_text(_exit_text(self.outcome.flow))
        elif self.outcome.exports:
            publish(*exports_fallback(self.name, self.outcome.exports))

    @property
    def stops(self) -> bool:
        """Whether production would not start the next step now."""
        return self.run.pause is not None or isinstance(self.outcome.flow, ExitCall)

    @property
    def stop_message(self) -> str:
        """The message of the error that stops a Run All, for programs that show no output."""
        if isinstance(self.outcome.flow, ExitCall):
            return _exit_text(self.outcome.flow)
        from jupyter_pdflow.widgets.view import NOTICE

        return NOTICE

    def _apply(self, event: Event, at: datetime | None = None) -> None:
        self.run = apply(self.run, event, at or datetime.now(UTC)).run
        self.session.test_runs[self.name] = self.run

    def _store_exports(self) -> None:
        if self.run.status != "failed":
            self.session.exports[self.name] = self.run.current.exports

    def _execution(self) -> Execution:
        url = server_url().rstrip("/")
        execution = execution_of(self.run, f"{url}/pdflow/resume/test", f"{url}/pdflow/cancel/test")
        exports = self.session.exports
        others = {name: exports[name] for name in exports if name != self.name}
        return replace(execution, steps=others)

    async def _call(self, pd: Pd) -> Outcome:
        check = StateCheck(self.shell, self.session)
        try:
            with interrupts(), canceling_tasks():
                # A rerun from the notice calls the same handler again.
                if self.handler is None:
                    self.handler = await self._load()
                check.record_definitions(self.name)
                return await call_handler(self.handler, pd)
        except BaseException as exception:  # noqa: BLE001  the author's code may raise anything
            return failed(pd, exception)
        finally:
            check.close()

    async def _load(self) -> Callable[[Pd], Any]:
        # IPython's own name for the cell, so that tracebacks and the debugger find its lines.
        number, cell = self.shell.execution_count - 1, f"%%step {self.name}\n{self.body}"
        filename = self.shell.compile.cache("", number, cell)
        return await load_handler(self.shell, self.body, self.name, filename=filename)

    # --- the notice -------------------------------------------------------------------

    def _publish_notice(self, pause: Pause) -> None:
        from IPython.display import display

        from jupyter_pdflow.widgets.view import Notice

        notice = Notice(
            _pause_text(pause),
            resumed=lambda data: self._decide(notice, pause, _resume(pause, data)),
            # At the deadline, because the rules keep a pause whose time is not over.
            timed_out=lambda: self._decide(notice, pause, _expire(pause), pause.deadline),
            canceled=lambda: self._decide(notice, pause, Cancel(by="button")),
        )
        display(notice)  # type: ignore[no-untyped-call]

    def _decide(
        self, notice: Notice, pause: Pause, event: Event, at: datetime | None = None
    ) -> None:
        """Settle the pause by a button of its notice, as of `at`, by default now."""
        if self.run.pause is not pause or self.session.test_runs.get(self.name) is not self.run:
            notice.show_status(f"Step {self.name} was run again since. Use its newest notice.")
            return
        self._apply(event, at)
        self._store_exports()
        notice.show_status(_decision_text(self.run))
        if self.run.status == "queued":
            task = asyncio.ensure_future(self._execute_again(notice))
            _background_tasks.add(task)
            task.add_done_callback(_background_tasks.discard)

    async def _execute_again(self, notice: Notice) -> None:
        from IPython.utils.capture import capture_output

        # A button's callback has no cell to write to; the notice has an output area for it.
        with capture_output() as captured:
            await self.execute()
            self.publish()
            # Has matplotlib's inline backend display its figures while the output is captured.
            self.shell.events.trigger("post_execute")
        for output in _outputs(captured):
            notice.add_output(output)
        if self.exception is not None:
            notice.add_output(_error_output(self.shell, self.exception))
        if self.run.ended and not isinstance(self.outcome.flow, ExitCall):
            notice.show_status(_decision_text(self.run))


# --- the run --------------------------------------------------------------------------


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
    """Return an exception for an error that the rules found, such as exports too large, or None."""
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


# --- texts and outputs ----------------------------------------------------------------


def _pause_text(pause: Pause) -> str:
    wait = format_duration(pause.deadline - pause.since)
    what = {
        "suspend": f"wait here to be resumed or canceled, for {wait}",
        "rerun": f"run this step again after {wait}, or when its resume_url is called",
        "delay": f"wait here for {wait}",
    }[pause.kind]
    return f"In production, the run would now {what}. Continue:"


def _exit_text(call: ExitCall) -> str:
    reason = f": {call.exit_reason.rstrip('.')}" if call.exit_reason else ""
    return (
        f"pd.flow.exit() — in production the run would end here as succeeded{reason}. "
        "No later step would run, so a Run All stops here."
    )


def _decision_text(run: Run) -> str:
    match run.status:
        case "queued":
            return f"Step {run.current.name} runs again, as run {run.current.runs}:"
        case "succeeded":
            data = f"; its {RESUME_DATA} is set" if RESUME_DATA in run.current.exports else ""
            return f"Step {run.current.name} has ended{data}. The next step can now be run."
        case "canceled":
            text = "In production the run would be canceled here; no later step would run."
            return f"{run.reason} {text}" if run.reason else text
    error = run.error.evalue if run.error else ""
    return f"In production the run would fail here: {error}"


def _outputs(captured: Any) -> list[dict[str, Any]]:
    """Return captured output in nbformat 4."""
    streams = [("stdout", captured.stdout), ("stderr", captured.stderr)]
    texts = [
        {"output_type": "stream", "name": name, "text": text} for name, text in streams if text
    ]
    displayed = [
        {"output_type": "display_data", "data": rich.data, "metadata": rich.metadata or {}}
        for rich in captured.outputs
    ]
    return [*texts, *displayed]


def _error_output(shell: InteractiveShell, error: BaseException) -> dict[str, Any]:
    return {
        "output_type": "error",
        "ename": type(error).__name__,
        "evalue": error_of(error).evalue,
        "traceback": traceback_lines(shell, error),
    }


# --- state ----------------------------------------------------------------------------


class StateCheck:
    """Warns of state that a step has changed and that production would not keep.

    The state of the process, and the globals that the handler has set, are restored. Objects
    that it has changed stay changed, because the session is the author's.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session
        self._leftovers = Leftovers()
        self._globals_before = self._globals()
        self._baseline = self._take_baseline()
        self._globals_of_cell: dict[str, Any] | None = None

    def record_definitions(self, step: str) -> None:
        """Record what the step's cell has defined, before its handler is called."""
        self._globals_of_cell = self._globals()
        for name, value in self._globals_of_cell.items():
            if self._globals_before.get(name) is not value:
                self._session.defined_by[name] = f"the cell of step {step!r}"

    def close(self) -> None:
        """Warn of each change, and restore what can be restored."""
        warnings = leftover_warnings(self._leftovers) + self._baseline.changes()
        if self._globals_of_cell is not None:
            warnings += global_warnings(self._globals_of_cell, self._globals())
            self._restore_globals(self._globals_of_cell)
        for text in warnings:
            write_warning(text)
        self._baseline.restore()

    def _globals(self) -> dict[str, Any]:
        hidden = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and name not in hidden
        }

    def _take_baseline(self) -> Baseline:
        defined_by = self._session.defined_by
        by_cell: dict[str, dict[str, Any]] = {SETUP: {}}
        for name, value in self._globals_before.items():
            by_cell.setdefault(defined_by.get(name, SETUP), {})[name] = value
        is_local = _local_module_check(notebook_path())
        keep = kept_names(self._shell)
        baseline = Baseline(by_cell.pop(SETUP), is_local=is_local, keep=keep)
        for cell, names in by_cell.items():
            baseline.add(names, cell)
        return baseline

    def _restore_globals(self, before: dict[str, Any]) -> None:
        for name in self._globals().keys() - before.keys():
            del self._shell.user_ns[name]
        self._shell.user_ns.update(before)


def _local_module_check(notebook: Path | None) -> Callable[[str], bool]:
    """Return a function that says whether a module lies in the notebook's folder or below."""
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
