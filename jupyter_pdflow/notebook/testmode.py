"""Test mode: execute a step's handler in the session, and decide its pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec.structs import replace

from jupyter_pdflow.exceptions import (
    BadRequestError,
    ExportError,
    InvalidAnswerError,
    StopRunAll,
)
from jupyter_pdflow.fallbacks import email_fallback, exports_fallback
from jupyter_pdflow.formatting import field_error_lines, format_duration, required_text
from jupyter_pdflow.kernels.inside.cell import (
    interrupts,
    load_handler,
    publish,
    publish_text,
    raise_from_cell,
    traceback_lines,
)
from jupyter_pdflow.notebook.advice import advice_for, with_advice
from jupyter_pdflow.notebook.answers import GivenAnswer, labels_of
from jupyter_pdflow.notebook.capture import capturing
from jupyter_pdflow.notebook.session import RESUME_DATA, Session, notebook_path, server_url
from jupyter_pdflow.notebook.state_check import StateCheck
from jupyter_pdflow.pd.attrs import write_warning
from jupyter_pdflow.pd.call import call_handler, error_of, failed
from jupyter_pdflow.pd.loops import canceling_tasks
from jupyter_pdflow.pd.pd import Pd, session_folder
from jupyter_pdflow.rules.approvals import ask_of, asks
from jupyter_pdflow.rules.decisions import DECISION
from jupyter_pdflow.rules.events import Begin, Event, Finish
from jupyter_pdflow.rules.execution import execution_of
from jupyter_pdflow.rules.pauses import Pause
from jupyter_pdflow.rules.run import EmailRequest, Execution, ExitCall, OutboxMessage, Outcome, Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow, version_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_pdflow.notebook.answers import Action
    from jupyter_pdflow.widgets.notice import Notice

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
    test_run, answer = TestRun(shell, session, name, body), session.take_answer()
    await test_run.execute()
    try:
        if answer is not None:
            await test_run.answer(answer)
    except InvalidAnswerError as error:
        wrong = " ".join(field_error_lines(error.errors))
        msg = f"`%pdflow answer` does not match the form of step {name!r}: {wrong}"
        test_run.exception = BadRequestError(msg)
    test_run.warn_of_waiting_step()
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
        self._notices: list[Notice] = []
        """The notices that count: each but the first is in the output of the one before."""
        self._executes_again = False

    async def execute(self) -> None:
        """Execute the step once, apply the outcome to its run, and display title and emails."""
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
        earlier = len(self.run.outbox)
        self._apply(finish)
        self._store_exports()
        self.exception = pd.exception or _as_exception(self.run)
        self._publish_messages(self.run.outbox[earlier:])

    async def answer(self, given: GivenAnswer) -> None:
        """Decide the pause by what ``%pdflow answer`` has given, or warn that there is no pause.

        Raises
        ------
        InvalidAnswerError
            The answer does not match the form; the pause stays.
        """
        pause = self.run.pause
        if pause is None:
            write_warning(f"`%pdflow answer` is forgotten: step {self.name!r} did not pause.")
            return
        self._set(given.decide(self.run))
        self._store_exports()
        publish_text(f"{_pause_text(pause)} {ANSWERED[given.action]} {_decision_text(self.run)}")
        if self.run.status == "queued":
            await self.execute()

    def warn_of_waiting_step(self) -> None:
        """Warn if production would not have come to this step, unless its error says that."""
        advice = advice_for(self.session, self.name)
        if advice is not None and advice not in str(self.exception):
            write_warning(advice)

    def publish(self) -> None:
        """Display the outcome, except for an exception."""
        if self.run.pause is not None:
            self._publish_notice(self.run.pause)
        elif self.exception is not None:
            return
        elif isinstance(self.outcome.flow, ExitCall):
            publish_text(_exit_text(self.outcome.flow))
        elif self.run.status == "succeeded" and self.run.current.exports:
            publish(*exports_fallback(self.name, self.run.current.exports))

    @property
    def stops(self) -> bool:
        """Whether production would not start the next step now."""
        is_exit = isinstance(self.outcome.flow, ExitCall)
        return is_exit or self.run.status != "succeeded"

    @property
    def stop_message(self) -> str:
        """The message of the error that stops a Run All, for programs that show no output."""
        if isinstance(self.outcome.flow, ExitCall):
            return _exit_text(self.outcome.flow)
        if self.run.pause is None:
            return _decision_text(self.run)
        from jupyter_pdflow.widgets.notice import NOTICE

        return NOTICE

    def _apply(self, event: Event) -> None:
        self._set(apply(self.run, event, datetime.now(UTC)).run)

    def _set(self, run: Run) -> None:
        self.run = self.session.test_runs[self.name] = run

    def _publish_messages(self, messages: Sequence[OutboxMessage]) -> None:
        if self.outcome.title is not None and self.run.title:
            publish_text(f"Title of the run: {self.run.title}")
        for message in messages:
            publish(*email_fallback(_written(message)))

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

        from jupyter_pdflow.markdown import to_html
        from jupyter_pdflow.widgets.notice import Notice

        ask, paused = ask_of(pause), self.run

        def press(action: Action, data: Any) -> None:
            self._choose(paused, notice, GivenAnswer(action, data))

        notice = Notice(
            f"{_pause_text(pause)} Continue:",
            press,
            labels=labels_of(pause),
            form=ask.form,
            message_html=None if ask.message is None else to_html(ask.message),
        )
        self._notices.append(notice)
        display(notice)  # type: ignore[no-untyped-call]

    def _choose(self, paused: Run, notice: Notice, answer: GivenAnswer) -> None:
        """Decide a pause by a button of its notice, in place of what was chosen before.

        Raises
        ------
        InvalidAnswerError
            The answer does not match the form; nothing is changed.
        """
        if self._executes_again:
            return
        is_newest = self.session.test_runs.get(self.name) is self.run
        if not is_newest or notice not in self._notices:
            text = f"Step {self.name} was run again or loaded since. Use its newest notice."
            notice.show_status(text)
            return
        decided = answer.decide(paused)
        del self._notices[self._notices.index(notice) + 1 :]
        self._set(decided)
        # Also where the run has failed now, and so exports nothing more.
        self.session.exports[self.name] = paused.current.exports
        self._store_exports()
        notice.show_choice(answer.action, answer.data, _decision_text(self.run))
        if self.run.status == "queued":
            task = asyncio.ensure_future(self._execute_again(notice))
            _background_tasks.add(task)
            task.add_done_callback(_background_tasks.discard)

    async def _execute_again(self, notice: Notice) -> None:
        # A button's callback has no cell to write to; the notice has an output area for it.
        with self._executing_again(), capturing(self.shell) as outputs:
            await self.execute()
            self.publish()
            # Has matplotlib's inline backend display its figures while the output is captured.
            self.shell.events.trigger("post_execute")
        for output in outputs:
            notice.add_output(output)
        if self.exception is not None:
            notice.add_output(_error_output(self.shell, self.exception))
        if self.run.ended and not isinstance(self.outcome.flow, ExitCall):
            notice.show_status(_decision_text(self.run))

    @contextmanager
    def _executing_again(self) -> Iterator[None]:
        """Disable the buttons of the notices that are there, while the step is executed."""
        notices = list(self._notices)
        self._executes_again = True
        for notice in notices:
            notice.enable(enabled=False)
        try:
            yield
        finally:
            self._executes_again = False
            for notice in notices:
                notice.enable(enabled=True)


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


def _written(message: OutboxMessage) -> EmailRequest:
    """Return an email of test mode; one to an approver with a text in place of its links."""
    if message.ask is None:
        return message.email
    from jupyter_pdflow.mail.asks import PERSONAL_LINK, with_text
    from jupyter_pdflow.stores import email_of

    email = with_text(email_of(message), message.ask, PERSONAL_LINK, PERSONAL_LINK)
    # Without its HTML, which says the same: one frame for each approver would fill the screen.
    return EmailRequest(subject=email.subject, text=email.text, to=email.to)


# --- texts and outputs ----------------------------------------------------------------

ANSWERED = {
    "resume": "`%pdflow answer` resumes it.",
    "reject": "`%pdflow answer` rejects it.",
    "time_out": "`%pdflow answer` lets the time run out.",
}
"""What ``%pdflow answer`` did, by its action."""


def _pause_text(pause: Pause) -> str:
    wait = format_duration(pause.deadline - pause.since)
    what = {
        "suspend": f"wait here {_wanted_text(pause)}, for {wait}",
        "rerun": f"run this step again after {wait}, or when its resume_url is called",
        "delay": f"wait here for {wait}",
    }[pause.kind]
    return f"In production, the run would now {what}."


def _wanted_text(pause: Pause) -> str:
    ask = ask_of(pause)
    if ask.approvers:
        return required_text(ask.approvers, ask.required)
    return "to be resumed or rejected" if asks(pause) else "to be resumed or canceled"


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
            return (
                f"Step {run.current.name} has ended{_set_text(run)}. The next step can now be run."
            )
        case "canceled":
            text = "In production the run would be canceled here; no later step would run."
            return f"{run.reason} {text}" if run.reason else text
    error = run.error.evalue if run.error else ""
    return f"In production the run would fail here: {error}"


def _set_text(run: Run) -> str:
    names = [name for name in (RESUME_DATA, DECISION) if name in run.current.exports]
    if not names:
        return ""
    return f"; its {' and '.join(names)} {'are' if len(names) > 1 else 'is'} set"


def _error_output(shell: InteractiveShell, error: BaseException) -> dict[str, Any]:
    return {
        "output_type": "error",
        "ename": type(error).__name__,
        "evalue": error_of(error).evalue,
        "traceback": traceback_lines(shell, error),
    }
