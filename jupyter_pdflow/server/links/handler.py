"""The HTTP handler of links: any method and no login, because the token is the authority.

A request passes these steps: its token is hidden from logs, its client is classified, its body is
collected within limits of size and time, and then it acts on the pause or is shown a page.

The page of a pause that asks has two buttons, of which one sends to the link for the other action.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import msgspec
from jupyter_server.auth.decorator import allow_unauthenticated
from msgspec.structs import replace
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import (
    AlreadyAnsweredError,
    AlreadyDecidedError,
    ApproversOnlyError,
    ConfigurationError,
    InvalidAnswerError,
    NotFoundError,
    PDFlowError,
    TooManyAttemptsError,
)
from jupyter_pdflow.models import Acted, Counted, Decided, Error
from jupyter_pdflow.rules.approvals import ask_of, asks, check_may_decide, has_note, missing
from jupyter_pdflow.rules.decisions import decision_on, is_paused_at
from jupyter_pdflow.rules.events import Answer
from jupyter_pdflow.rules.pauses import Decision, Pause
from jupyter_pdflow.rules.people import Person
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.api.models import decision_view, error_response
from jupyter_pdflow.server.links.ask_pages import (
    answered_page,
    approvers_only_page,
    ask_page,
    counted_page,
    outcome_page,
)
from jupyter_pdflow.server.links.ask_view import Filled
from jupyter_pdflow.server.links.intake import LinkRequestHandler
from jupyter_pdflow.server.links.pages import (
    OTHER_ACTION,
    PAGE_POLICY,
    RESULTS,
    SERVER_ERROR,
    TEST_MESSAGE,
    UNAVAILABLE_MESSAGE,
    Fields,
    LinkTarget,
    Page,
    Result,
    decided_page,
    error_page,
    form_page,
    plain_page,
    render,
    result_page,
)
from jupyter_pdflow.server.links.requests import (
    link_fields,
    link_request,
    merge_fields,
    note_in,
    read_form,
)
from jupyter_pdflow.server.links.tokens import TEST_TOKEN, Payload, unknown_link
from jupyter_pdflow.server.services import Services


class LinkHandler(LinkRequestHandler):
    """Resumes or cancels the pause that the token in the path names.

    Neither cookies nor Jupyter's token are looked at.
    """

    # --- serving ---

    @allow_unauthenticated
    async def get(self) -> None:
        """Serve a request of any method."""
        await self._serve()

    head = post = put = patch = delete = options = get

    async def _serve(self) -> None:
        if not self.finish_body():
            return
        self._service_manager.check()
        await self.refuse_other_hosts()
        self.check_body()
        if self._head.method == "OPTIONS":
            self._answer_preflight()
        elif self._client == "prefetch":
            raise HTTPError(503, "A link is not loaded ahead of a click.")
        elif self._token == TEST_TOKEN:
            self._answer_test()
        else:
            await self._serve_link()

    async def _serve_link(self) -> None:
        services = await self._service_manager.services()
        try:
            named = services.links.read(self._action, self._token)
            if self._client in ("program", "form"):
                await self._act(services, named)
            else:
                self._show(services, await services.service.run(named.run_id), named)
        except NotFoundError:
            # Only unknown links count as attempts: a known link works from every address.
            self._rate_limiter.count(self._head.client_ip)
            raise unknown_link() from None

    async def _act(self, services: Services, named: Payload) -> None:
        """Resume or cancel, and answer with the result."""
        service = services.service
        decide = service.resume_pause if self._action == "resume" else service.cancel_pause
        answer = await self._link_answer(services, named)
        try:
            run = await decide(*named[:3], answer)
        except AlreadyDecidedError as error:
            target = self._target(await service.run(named.run_id), named.step)
            self._answer_decided(error.decision, target)
        except (AlreadyAnsweredError, ApproversOnlyError, InvalidAnswerError) as error:
            if self._wants_json:
                raise
            self._show(services, await service.run(named.run_id), named, error)
        else:
            # Let the executor send the step to its kernel before the answer is written.
            await asyncio.sleep(0)
            self._answer_result(run, self._target(run, named.step), named)

    async def _link_answer(self, services: Services, named: Payload) -> Answer:
        """Return what the request says, and who has sent it if the link is personal."""
        by_page = not self._wants_json
        # The form of a pause says which fields its page sends; a program's request is read alike
        # whatever the pause asks.
        run = await services.service.run(named.run_id) if by_page else None
        pause = None if run is None else _pause_at(run, named)
        has_form = ask_of(pause).form is not None
        request = link_request(
            self._head,
            bytes(self._body),
            self._path,
            self._token,
            by_page=by_page,
            has_form=has_form,
            limit=self._limit,
        )
        note = note_in(request, or_query=self._wants_json) if has_note(pause) else None
        return Answer("link", request, Person(name=named.person), note)

    @property
    def _wants_json(self) -> bool:
        return self._client == "program" and not self._by_script

    def _target(self, run: Run, step: str) -> LinkTarget:
        return LinkTarget(action=self._action, workflow=run.workflow_name, step=step)

    # --- pages that change nothing ---

    def _show(
        self, services: Services, run: Run, named: Payload, error: PDFlowError | None = None
    ) -> None:
        """Answer with a page, and change nothing.

        Parameters
        ----------
        services : Services
        run : Run
        named : Payload
            What the link names.
        error : PDFlowError or None
            Why the request of a page has changed nothing.
        """
        decision, pause = decision_on(run, *named[1:3]), _pause_at(run, named)
        target = self._target(run, named.step)
        if decision is not None:
            self._answer_decided(decision, target)
        elif pause is not None and asks(pause):
            self._show_ask(services, run, pause, named, error)
        else:
            acts = self._client == "page" and not self._options.confirm
            self._send_page(200, form_page(target, self._fields, acts=acts))

    def _show_ask(
        self,
        services: Services,
        run: Run,
        pause: Pause,
        named: Payload,
        error: PDFlowError | None,
    ) -> None:
        """Answer with what a pause asks, and with its form if the person may decide."""
        person = named.person
        try:
            check_may_decide(pause, Person(name=person), services.service.directory)
        except ApproversOnlyError as refused:
            page = approvers_only_page(run, pause, person, f"{self.base_url}pdflow/inbox")
            self._send_page(200 if error is None else refused.status, page)
        except AlreadyAnsweredError as refused:
            self._send_page(refused.status, answered_page(run, pause, person))
        else:
            status = 200 if error is None else error.status
            self._send_page(status, self._ask_page(services, run, pause, named, error))

    def _ask_page(
        self,
        services: Services,
        run: Run,
        pause: Pause,
        named: Payload,
        error: PDFlowError | None,
    ) -> Page:
        other = OTHER_ACTION[self._action]
        fields = merge_fields(self._fields)
        if isinstance(error, InvalidAnswerError):
            sent = read_form(self._head, bytes(self._body), limit=self._limit)
            filled = Filled(fields=sent, sent=True, errors=error.errors)
        else:
            filled = Filled(fields=fields)
        return ask_page(
            run,
            pause,
            self._target(run, named.step),
            filled,
            other_path=f"{self.base_url}pdflow/{other}/{services.links.token(other, *named)}",
            person=named.person,
            fields=self._fields,
        )

    @property
    def _fields(self) -> Fields:
        """The fields of the link's query."""
        return link_fields(self._head, self._token)

    # --- answers ---

    def _answer_result(self, run: Run, target: LinkTarget, named: Payload) -> None:
        pause, now = _pause_at(run, named), datetime.now(UTC)
        if pause is not None:
            counted = Counted(status="counted", missing=missing(pause))
            self._answer(200, counted, counted_page(run, pause, named.person, now))
            return
        kept = run.pending_request is not None
        result = "accepted" if kept else self._result(run)
        acted = Acted(status=result, workflow=target.workflow, step=target.step)
        decision = decision_on(run, named.step, named.execution)
        if decision is not None and decision.asked:
            page = outcome_page(target, decision)
        else:
            page = result_page(target, result, now, self._fields)
        self._answer(202 if kept else 200, acted, page)

    def _result(self, run: Run) -> Result:
        """Return what the link has made of a run."""
        rejected = self._action == "cancel" and run.status != "canceled"
        return "rejected" if rejected else RESULTS[self._action]

    def _answer_decided(self, decision: Decision, target: LinkTarget) -> None:
        decided = decision_view(decision, target.workflow)
        self._answer(AlreadyDecidedError.status, decided, decided_page(target, decision))

    def _answer_test(self) -> None:
        acted = Acted(status="test", workflow=None, step=None, message=TEST_MESSAGE)
        self._answer(200, acted, plain_page("test", "A link of test mode", TEST_MESSAGE))

    def _answer_preflight(self) -> None:
        requested = self.request.headers.get("Access-Control-Request-Headers", "*")
        self.set_header("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
        self.set_header("Access-Control-Allow-Headers", requested)
        self.set_header("Access-Control-Max-Age", "600")
        self.set_status(204)
        self.finish()

    def _answer(self, status: int, body: Acted | Counted | Decided | Error, page: Page) -> None:
        """Answer a program with JSON, and every other client with a page."""
        if self._wants_json:
            self._send_json(status, body)
        else:
            self._send_page(status, page)

    def _send_json(self, status: int, body: Acted | Counted | Decided | Error) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(body))

    def _send_page(self, status: int, page: Page) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        nonce = None if self._by_script else secrets.token_urlsafe(16)
        if nonce is not None:
            self.set_header("Content-Security-Policy", PAGE_POLICY.format(nonce=nonce))
        self.finish(render(page, nonce, scripts=self._client in ("page", "form")))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the error, as JSON or as a page."""
        error = kwargs.get("exc_info", (None, None))[1]
        status, body = error_response(status_code, error)
        page = error_page(status, body.message)
        if isinstance(error, ConfigurationError):
            page = plain_page(page.state, page.heading, body.message)
        elif status >= SERVER_ERROR:
            # Other server errors name files of this server; clients of links are unauthenticated.
            body = replace(body, message=UNAVAILABLE_MESSAGE)
        if isinstance(error, TooManyAttemptsError):
            self.set_header("Retry-After", str(error.seconds))
        self._answer(status, body, page)


def _pause_at(run: Run, named: Payload) -> Pause | None:
    """Return the pause that a link names if the run waits in it."""
    return run.pause if is_paused_at(run, named.step, named.execution) else None
