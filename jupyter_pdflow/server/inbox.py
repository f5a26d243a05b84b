"""The page ``/pdflow/inbox``: what waits for the person who is signed in, with the forms to decide.

It works without scripts. A form names the execution whose pause it decides, so that a page that was
opened long ago decides no later one.
"""

from __future__ import annotations

import re
import secrets
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlencode

from jupyter_server.base.handlers import JupyterHandler
from msgspec import Struct
from tornado import web

from jupyter_pdflow.exceptions import (
    AlreadyDecidedError,
    BadRequestError,
    InvalidAnswerError,
    NotFoundError,
    PDFlowError,
)
from jupyter_pdflow.rules.approvals import ask_of, asks, has_answered, has_note, missing_message
from jupyter_pdflow.rules.decisions import decision_on, is_paused_at
from jupyter_pdflow.rules.events import Answer
from jupyter_pdflow.rules.execution import EXPORTS_LIMIT
from jupyter_pdflow.rules.people import Person
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.api.base_handler import requires
from jupyter_pdflow.server.api.models import error_response
from jupyter_pdflow.server.identity import person_of
from jupyter_pdflow.server.links.ask_pages import outcome_text
from jupyter_pdflow.server.links.ask_view import (
    EMPTY,
    AskForm,
    AskView,
    Button,
    Filled,
    ask_view,
    form_view,
)
from jupyter_pdflow.server.links.pages import (
    PAGE_POLICY,
    SERVER_ERROR,
    LinkTarget,
    decision_text,
    plain_page,
    render,
    templates,
)
from jupyter_pdflow.server.links.requests import (
    FORM_TYPE,
    api_request,
    note_in,
    read_form,
    request_head,
)
from jupyter_pdflow.server.services import ServiceManager, Services
from jupyter_pdflow.stores import RunSummary
from jupyter_pdflow.stores.validation import is_id
from jupyter_pdflow.threads import in_thread

DECISIONS = ("approve", "reject")

APPROVAL = ("Approve", "Reject")
RESUME = ("Resume the workflow", "Cancel the workflow")
"""The buttons for a pause that asks, and for one that asks nothing."""

BAD_REQUEST = 400

_EXECUTION = re.compile("[0-9]{1,9}")

HEADERS = {
    "Cache-Control": "no-store",
    # Without a referrer, browsers would hide the origin that the forms are sent from.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}


class Named(NamedTuple):
    """The pause of one execution of a step; the arguments of an address of the page."""

    run_id: str
    step: str
    execution: int


class Item(Struct, frozen=True, kw_only=True):
    """What waits for the person.

    Attributes
    ----------
    id : str
        The id of its element.
    """

    id: str
    ask: AskView
    form: AskForm


class InboxPage(Struct, frozen=True, kw_only=True):
    """The page.

    Attributes
    ----------
    name : str or None
        The name of the person who is signed in, if known.
    outcome : str
        What the latest decision did, or an empty text.
    problem : str
        Why nothing was decided, or an empty text.
    """

    name: str | None
    items: list[Item]
    outcome: str = ""
    problem: str = ""


class InboxPageHandler(JupyterHandler):
    """``/pdflow/inbox``."""

    auth_resource = "jupyter_pdflow"

    def initialize(self, service_manager: ServiceManager) -> None:
        """Store what the page works with."""
        self._service_manager = service_manager

    @web.authenticated
    @requires("execute")
    async def get(self) -> None:
        """Show what waits, and what the decision did that has led here."""
        services = await self._services()
        named = self._named() if self.request.query_arguments.get("run_id") else None
        outcome = "" if named is None else await self._outcome(services, named)
        await self._show(services, outcome=outcome)

    @web.authenticated
    @requires("execute")
    async def post(self) -> None:
        """Decide one pause, and lead to the page that says so."""
        services, named, fields = await self._services(), self._named(), self._form_fields()
        try:
            await self._decide(services, named, fields)
        except InvalidAnswerError as error:
            filled = Filled(fields=fields, sent=True, errors=error.errors)
            problem = "Something is missing, or wrong, in the form below."
            await self._show(
                services, status=error.status, problem=problem, named=named, filled=filled
            )
        except PDFlowError as error:
            if error.status >= SERVER_ERROR:
                raise
            problem = await _problem(services, named, error)
            await self._show(services, status=error.status, problem=problem)
        else:
            self.redirect(f"{self._path}?{urlencode(named._asdict())}", status=303)

    # --- the request ---

    @property
    def _path(self) -> str:
        return f"{self.base_url}pdflow/inbox"

    @property
    def _person(self) -> Person:
        return person_of(self.current_user, self.identity_provider)

    async def _services(self) -> Services:
        self._service_manager.check()
        return await self._service_manager.services()

    def _named(self) -> Named:
        """Return which pause the address names.

        They are no fields of the form: an answer may have fields of the same names.
        """
        run_id, step, execution = (self.get_query_argument(name, "") for name in Named._fields)
        if not is_id(run_id) or not step or not _EXECUTION.fullmatch(execution):
            msg = "The address must name a run_id, a step and its execution."
            raise BadRequestError(msg)
        return Named(run_id, step, int(execution))

    def _form_fields(self) -> dict[str, Any]:
        """Return the fields of the form; raises HTTPError if it is too large."""
        body = self.request.body
        if len(body) > EXPORTS_LIMIT:
            raise web.HTTPError(413, f"The form is larger than {EXPORTS_LIMIT:,} bytes.")
        fields = read_form(request_head(self.request), body, limit=EXPORTS_LIMIT)
        return {name: value for name, value in fields.items() if name != "_xsrf"}

    async def _decide(self, services: Services, named: Named, fields: dict[str, Any]) -> None:
        """Approve or reject; raises what `Service.resume_pause` raises."""
        decision, service = self.get_query_argument("decision", ""), services.service
        if decision not in DECISIONS:
            msg = f"decision must be one of {', '.join(DECISIONS)}, not {decision!r}."
            raise BadRequestError(msg)
        pause = (await service.run(named.run_id)).pause
        has_form = ask_of(pause).form is not None
        approves = decision == "approve"
        data = fields if has_form and approves else None
        request = api_request(request_head(self.request), data, FORM_TYPE)
        note = note_in({"body": fields}) if has_note(pause) else None
        answer = Answer("button", request, self._person, note)
        decide = service.resume_pause if approves else service.cancel_pause
        await decide(*named, answer)

    # --- the page ---

    async def _outcome(self, services: Services, named: Named) -> str:
        """Return what became of a pause, or an empty text if it waits for this person."""
        try:
            run = await services.service.run(named.run_id)
        except NotFoundError:
            return ""
        pause = run.pause if is_paused_at(run, named.step, named.execution) else None
        if pause is not None:
            counted = has_answered(pause, self._person, services.service.directory)
            return f"Your approval is counted; {missing_message(pause)}" if counted else ""
        return _decided_text(run, named)

    async def _show(
        self,
        services: Services,
        *,
        status: int = 200,
        outcome: str = "",
        problem: str = "",
        named: Named | None = None,
        filled: Filled = EMPTY,
    ) -> None:
        """Answer with the page.

        Parameters
        ----------
        services : Services
        status : int
            The HTTP status.
        outcome, problem : str
            What the latest decision did, or why nothing was decided.
        named, filled : Named or None, Filled
            The pause whose form has what was typed, and that.
        """
        person = self._person
        runs = await services.service.inbox(person)
        self.set_status(status)
        nonce, xsrf = self._begin_page(), self.xsrf_token.decode()

        def html() -> str:
            forms = [filled if _name_of(run) == named else EMPTY for run in runs]
            items = [_item(self._path, *each) for each in zip(count(), runs, forms, strict=False)]
            page = InboxPage(name=person.name, items=items, outcome=outcome, problem=problem)
            return templates().get_template("inbox.html").render(page=page, nonce=nonce, xsrf=xsrf)

        # In a thread: there may be 100 long messages and forms.
        self.finish(await in_thread(html))

    def _begin_page(self) -> str:
        """Set the headers of a page; return the nonce of its script and style."""
        nonce = secrets.token_urlsafe(16)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", PAGE_POLICY.format(nonce=nonce))
        return nonce

    # --- what Jupyter and Tornado call ---

    content_security_policy = "default-src 'none'; frame-ancestors 'none'"
    """The policy of answers; a page gets one of its own."""

    def set_default_headers(self) -> None:
        """Set the headers of all answers."""
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def compute_etag(self) -> None:
        """Send no ETag: answers must not be cached."""

    def on_finish(self) -> None:
        """Learn the public address from a request that was authorized and answered."""
        services = self._service_manager.opened
        if self.get_status() < BAD_REQUEST and services is not None and self.current_user:
            services.address.observe(self)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a page that says what is wrong."""
        status, body = error_response(status_code, kwargs.get("exc_info", (None, None))[1])
        self.set_status(status)
        is_down = status >= SERVER_ERROR
        heading = "Not possible right now" if is_down else "Not possible"
        page = plain_page("unavailable" if is_down else "refused", heading, body.message)
        self.finish(render(page, self._begin_page(), scripts=False))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an expected error for debugging only."""
        if isinstance(value, PDFlowError):
            self.log.debug("%s: %s", value.reason, value)
        else:
            super().log_exception(typ, value, tb)


def _item(path: str, number: int, run: RunSummary, filled: Filled) -> Item:
    pause, id = run.pause, f"item-{number}"  # noqa: A001
    assert pause is not None  # noqa: S101  for the type checker: an inbox has paused runs
    texts = APPROVAL if asks(pause) else RESUME
    approve, reject = (
        Button(text=text, progress="", to=f"{path}?{urlencode(_arguments(run, decision))}")
        for text, decision in zip(texts, DECISIONS, strict=True)
    )
    view = form_view(pause.ask.form if pause.ask else None, filled, f"{id}-")
    return Item(
        id=id, ask=ask_view(run, pause), form=AskForm(view=view, approve=approve, reject=reject)
    )


def _arguments(run: RunSummary, decision: str) -> dict[str, Any]:
    return {**_name_of(run)._asdict(), "decision": decision}


def _name_of(run: RunSummary) -> Named:
    pause = run.pause
    assert pause is not None  # noqa: S101  for the type checker: an inbox has paused runs
    return Named(run.id, pause.step, pause.execution)


def _target(run: Run, named: Named) -> LinkTarget:
    return LinkTarget(action="resume", workflow=run.workflow_name, step=named.step)


def _decided_text(run: Run, named: Named) -> str:
    """Return what the decision of a pause did; an empty text if no person has decided it."""
    decision = decision_on(run, named.step, named.execution)
    if decision is None or decision.resolution not in ("approved", "resumed", "rejected"):
        return ""
    return outcome_text(_target(run, named), decision)


async def _problem(services: Services, named: Named, error: PDFlowError) -> str:
    if not isinstance(error, AlreadyDecidedError):
        return str(error)
    run = await services.service.run(named.run_id)
    return decision_text(_target(run, named), error.decision)[1]
