"""The HTTP handler of links: any method and no login, because the token is the authority.

A request passes these steps: its token is hidden from logs, its client is classified, its body is
collected within limits of size and time, and then it acts on the pause or is shown a page.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from msgspec.structs import replace
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, stream_request_body

from jupyter_pdflow.exceptions import (
    AlreadyDecidedError,
    ConfigurationError,
    NotFoundError,
    PDFlowError,
    TooManyAttemptsError,
)
from jupyter_pdflow.models import Acted, Decided, Error
from jupyter_pdflow.rules.decisions import decision_on
from jupyter_pdflow.rules.run import Decision, Run
from jupyter_pdflow.server.api.models import decision_view, error_response
from jupyter_pdflow.server.links.clients import RateLimiter, classify
from jupyter_pdflow.server.links.pages import (
    RESULTS,
    SERVER_ERROR,
    TEST_MESSAGE,
    UNAVAILABLE_MESSAGE,
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
from jupyter_pdflow.server.links.requests import HIDDEN, link_fields, link_request, request_head
from jupyter_pdflow.server.links.tokens import TEST_TOKEN, Action, token_in, unknown_link
from jupyter_pdflow.server.services import ServiceManager, Services

PAGE_HEADER = "X-PDFlow-Page"
"""The header that a link page's script sends; the answer to it is a page."""

BODY_TIMEOUT_FACTOR = 10
"""Maximum time of a whole body, as a multiple of `LinkOptions.body_seconds`."""

MAX_DISCARDED = 16 * 1024 * 1024
"""Maximum number of bytes beyond the limit that are read before the connection is closed."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The policy of a page: its own script and style only."""

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Access-Control-Allow-Origin": "*",
}


class LinkOptions(NamedTuple):
    """The configuration of links.

    Attributes
    ----------
    max_body_bytes : int
        Maximum number of bytes of a body, as sent and decompressed.
    body_seconds : float
        Maximum number of seconds without a byte of the body. The whole body may take
        `BODY_TIMEOUT_FACTOR` times that.
    confirm : bool
        Whether a page waits for a click before it acts.
    host : str
        The host of ``PDFlow.public_url`` in lower case, or an empty text.
    """

    max_body_bytes: int
    body_seconds: float
    confirm: bool
    host: str


@stream_request_body
class LinkHandler(JupyterHandler):
    """Resumes or cancels the pause that the token in the path names.

    Neither cookies nor Jupyter's token are looked at.
    """

    def initialize(
        self,
        action: Action,
        service_manager: ServiceManager,
        rate_limiter: RateLimiter,
        options: LinkOptions,
    ) -> None:
        """Store the head of the request, and remove the token from Tornado's request.

        Tornado calls this first, so that nothing can log the token.
        """
        self._action = action
        self._service_manager = service_manager
        self._rate_limiter = rate_limiter
        self._options = options
        self._limit = options.max_body_bytes
        self._head = request_head(self.request)
        self._body = bytearray()
        self._received = 0
        self._abandoned = False
        self._body_timer: asyncio.TimerHandle | None = None
        start = f"{self.base_url}pdflow/{action}/"
        self._token = token_in(unquote(self.request.path[len(start) :].lstrip("/")))
        self._path = f"{start}{HIDDEN}"
        self._hide_token()
        self._client = classify(self._head.method, self.request.headers)
        self._by_script = self._client == "program" and PAGE_HEADER in self.request.headers

    def _hide_token(self) -> None:
        request = self.request
        request.uri = request.path = self._path
        request.headers = HTTPHeaders(request.headers)
        request.headers.pop("Referer", None)
        # Tornado answers 405 to a method that it does not know; a link takes every method.
        if request.method not in self.SUPPORTED_METHODS:
            request.method = "POST"

    # --- the body ---

    def prepare(self) -> None:  # type: ignore[override]
        """Skip Jupyter's authentication, and wait for the body."""
        self.current_user = None
        headers = self.request.headers
        length = headers.get("Content-Length", "0")
        # A client that sends Expect has sent no body yet, and need not send one that is too large.
        if "Expect" in headers and length.isdecimal() and int(length) > self._limit:
            raise self._too_large()
        if length != "0" or "Transfer-Encoding" in headers:
            self._heard_at = asyncio.get_running_loop().time()
            self._body_ends = self._heard_at + self._options.body_seconds * BODY_TIMEOUT_FACTOR
            self._await_body()

    def data_received(self, chunk: bytes) -> None:
        """Collect the body; discard the rest of one that is too large.

        Tornado closes the connection if the answer comes before the end of the body, and most
        clients that are still sending then never read the answer.
        """
        if self._abandoned:
            return
        self._heard_at = asyncio.get_running_loop().time()
        self._received += len(chunk)
        if self._received <= self._limit:
            self._body += chunk
        elif self._received > self._limit + MAX_DISCARDED:
            self._abandoned = True
            self.send_error(413, exc_info=(HTTPError, self._too_large(), None))

    def on_connection_close(self) -> None:
        """Stop waiting for the body of a client that has disconnected."""
        self._stop_body_timer()
        super().on_connection_close()

    def on_finish(self) -> None:
        """Stop waiting for the body of a request that is answered."""
        self._stop_body_timer()

    def _await_body(self) -> None:
        """Answer 408 if no part of the body has come in time, else wait for the next one."""
        loop = asyncio.get_running_loop()
        ends = min(self._heard_at + self._options.body_seconds, self._body_ends)
        if loop.time() < ends:
            self._body_timer = loop.call_at(ends, self._await_body)
            return
        # Before the end of the body, so that Tornado closes the connection.
        self._abandoned = True
        error = HTTPError(408, "The body did not arrive in time; the pause stays.")
        self.send_error(408, exc_info=(HTTPError, error, None))

    def _stop_body_timer(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()

    def _too_large(self) -> HTTPError:
        return HTTPError(413, "The body is larger than %d bytes; the pause stays.", self._limit)

    # --- what Jupyter and Tornado check and send ---

    def check_xsrf_cookie(self) -> None:
        """Accept requests without an XSRF token: the link's token is the authority."""

    def check_trusted_origin(self, origin: str) -> bool:
        """Accept every origin: the link's token is the authority."""
        del origin
        return True

    def check_host(self) -> bool:
        """Accept the host of the public URL, besides those that Jupyter accepts."""
        return self._is_own_host() or super().check_host()

    def _is_own_host(self) -> bool:
        opened = self._service_manager.opened
        own = {self._options.host, opened.address.host if opened else ""}
        return self.request.host_name.rstrip(".") in own - {""}

    async def _refuse_other_hosts(self) -> None:
        if self.check_host():
            return
        # A public URL that processes share is in their database, so it is known once that is open.
        if self._service_manager.opened is None:
            await self._service_manager.services()
        if not self._is_own_host():
            raise HTTPError(403)

    def compute_etag(self) -> None:
        """Send no ETag: answers must not be cached."""

    content_security_policy = "default-src 'none'; frame-ancestors 'none'"
    """The policy of answers; a page gets one of its own."""

    def set_default_headers(self) -> None:
        """Set the headers of all answers."""
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)

    # --- serving ---

    @allow_unauthenticated
    async def get(self) -> None:
        """Serve a request of any method."""
        await self._serve()

    head = post = put = patch = delete = options = get

    async def _serve(self) -> None:
        if self._finished:  # by `_await_body`, just before the body was complete
            return
        if self._body_timer is not None:
            self._body_timer.cancel()
        self._service_manager.check()
        await self._refuse_other_hosts()
        if self._received > self._limit:
            raise self._too_large()
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
                await self._act(services, *named)
            else:
                self._show(await services.service.run(named[0]), *named[1:])
        except NotFoundError:
            # Only unknown links count as attempts: a known link works from every address.
            self._rate_limiter.count(self._head.client_ip)
            raise unknown_link() from None

    async def _act(self, services: Services, run_id: str, step: str, execution: int) -> None:
        """Resume or cancel, and answer with the result."""
        body, by_page = bytes(self._body), self._by_script or self._client == "form"
        request = link_request(
            self._head, body, self._path, self._token, by_page=by_page, limit=self._limit
        )
        service = services.service
        decide = service.resume_pause if self._action == "resume" else service.cancel_pause
        try:
            run = await decide(run_id, step, execution, "link", request)
        except AlreadyDecidedError as error:
            target = self._target(await service.run(run_id), step)
            self._answer_decided(error.decision, target)
        else:
            # Let the executor send the step to its kernel before the answer is written.
            await asyncio.sleep(0)
            self._answer_result(self._target(run, step), kept=run.pending_request is not None)

    def _target(self, run: Run, step: str) -> LinkTarget:
        return LinkTarget(action=self._action, workflow=run.workflow_name, step=step)

    def _show(self, run: Run, step: str, execution: int) -> None:
        """Answer with a page, and change nothing."""
        decision = decision_on(run, step, execution)
        target = self._target(run, step)
        if decision is not None:
            self._answer_decided(decision, target)
        else:
            acts = self._client == "page" and not self._options.confirm
            fields = link_fields(self._head, self._token)
            self._send_page(200, form_page(target, fields, acts=acts))

    # --- answers ---

    def _answer_result(self, target: LinkTarget, *, kept: bool) -> None:
        result: Result = "accepted" if kept else RESULTS[self._action]
        acted = Acted(status=result, workflow=target.workflow, step=target.step)
        self._answer(202 if kept else 200, acted, result_page(target, result, datetime.now(UTC)))

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

    def _answer(self, status: int, body: Acted | Decided | Error, page: Page) -> None:
        """Answer a program with JSON, and every other client with a page."""
        if self._client == "program" and not self._by_script:
            self._send_json(status, body)
        else:
            self._send_page(status, page)

    def _send_json(self, status: int, body: Acted | Decided | Error) -> None:
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

    # --- logs ---

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log unexpected exceptions only."""
        if not isinstance(value, PDFlowError | HTTPError):
            super().log_exception(typ, value, tb)

    def _log(self) -> None:
        """Log the request: as an error after an internal error, else for debugging."""
        if self.get_status() == SERVER_ERROR:
            super()._log()
        else:
            self.log.debug("%d %s %s", self.get_status(), self._head.method, self._path)
