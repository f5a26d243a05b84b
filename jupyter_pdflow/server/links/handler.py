"""The public links: any method, no login; the token in the path is the authority."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, stream_request_body

from jupyter_pdflow.exceptions import (
    AlreadyDecidedError,
    ConfigurationError,
    NotFoundError,
    PDFlowError,
    TooManyAttemptsError,
)
from jupyter_pdflow.rules.decisions import decision_message, decision_on
from jupyter_pdflow.rules.run import Decision, Run
from jupyter_pdflow.server.api.models import decision_view, error_answer
from jupyter_pdflow.server.links.clients import RateLimiter, classify
from jupyter_pdflow.server.links.pages import (
    TEST_WORDS,
    UNAVAILABLE_WORDS,
    LinkTarget,
    Page,
    Result,
    asking_page,
    decided_page,
    done_page,
    error_page,
    plain_page,
    render,
)
from jupyter_pdflow.server.links.requests import HIDDEN, incoming, link_fields, link_request
from jupyter_pdflow.server.links.tokens import TEST_TOKEN, Action, token_in, unknown_link
from jupyter_pdflow.server.services import ServiceManager, Services

SERVER_ERRORS = 500
PAGE_HEADER = "X-PDFlow-Page"
"""A link page's own script names itself by this header, and is answered with a page."""

WHOLE_BODY = 10
"""How many times `LinkOptions.body_seconds` a whole body may take."""

MOST_DROPPED = 16 * 1024 * 1024
"""Bytes of a body beyond the limit that are read before the connection is closed."""
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Access-Control-Allow-Origin": "*",
}


class LinkOptions(NamedTuple):
    """How the owner wants links to be.

    Attributes
    ----------
    max_body_bytes : int
        How large a body may be, also when it is unpacked.
    body_seconds : float
        For how many seconds a body may stand still; the whole may take `WHOLE_BODY` times that.
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

    The token is taken out of Tornado's request before anything else can log it. Nobody is asked
    who they are: neither cookies nor Jupyter's token play a part here.
    """

    def initialize(
        self,
        action: Action,
        service_manager: ServiceManager,
        rate_limiter: RateLimiter,
        options: LinkOptions,
    ) -> None:
        """Take the request down and hide its secret; called before all else."""
        self._action = action
        self._service_manager = service_manager
        self._rate_limiter = rate_limiter
        self._options = options
        self._limit = options.max_body_bytes
        self._sent = incoming(self.request)
        self._body = bytearray()
        self._received = 0
        self._cut_off = False
        self._patience: asyncio.TimerHandle | None = None
        start = f"{self.base_url}pdflow/{action}/"
        self._token = token_in(unquote(self.request.path[len(start) :].lstrip("/")))
        self._path = f"{start}{HIDDEN}"
        self._hide_secret()
        self._client = classify(self._sent.method, self.request.headers)
        self._by_script = self._client == "program" and PAGE_HEADER in self.request.headers

    def _hide_secret(self) -> None:
        request = self.request
        request.uri = request.path = self._path
        request.headers = HTTPHeaders(request.headers)
        request.headers.pop("Referer", None)
        if request.method not in self.SUPPORTED_METHODS:
            request.method = "POST"

    # --- what Jupyter and Tornado ask ---

    def prepare(self) -> None:  # type: ignore[override]
        """Ask nobody who they are; refuse a body at once where its sender waits for leave."""
        self.current_user = None
        headers = self.request.headers
        length = headers.get("Content-Length", "0")
        if "Expect" in headers and length.isdecimal() and int(length) > self._limit:
            raise self._too_large()
        if length != "0" or "Transfer-Encoding" in headers:
            self._whole_by = self._now() + self._options.body_seconds * WHOLE_BODY
            self._wait_for_body()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _wait_for_body(self) -> None:
        self._wait_no_longer()
        seconds = min(self._options.body_seconds, self._whole_by - self._now())
        self._patience = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _give_up(self) -> None:
        """Answer before the body is there, so that Tornado closes the connection."""
        self._cut_off = True
        error = HTTPError(408, "The body did not arrive in time; the pause stays.")
        self.send_error(408, exc_info=(HTTPError, error, None))

    def on_connection_close(self) -> None:
        """Wait no longer for the body of a request whose sender has gone."""
        self._wait_no_longer()
        super().on_connection_close()

    def on_finish(self) -> None:
        """Wait no longer for the body of a request that is answered."""
        self._wait_no_longer()

    def data_received(self, chunk: bytes) -> None:
        """Collect the body; one that is too large is read and dropped.

        Tornado closes a connection on which it answers before the body is there, and most
        clients that are still sending then never see the answer.
        """
        if self._cut_off:
            return
        self._wait_for_body()
        self._received += len(chunk)
        if self._received <= self._limit:
            self._body += chunk
        elif self._received > self._limit + MOST_DROPPED:
            self._cut_off = True
            self.send_error(413, exc_info=(HTTPError, self._too_large(), None))

    @allow_unauthenticated
    async def get(self) -> None:
        """Serve a request of any method."""
        await self._serve()

    head = post = put = patch = delete = options = get

    def check_xsrf_cookie(self) -> None:
        """Ask for no XSRF token: whoever has the link may use it, from anywhere."""

    def check_trusted_origin(self, origin: str) -> bool:
        """Trust every origin, for the same reason."""
        del origin
        return True

    def compute_etag(self) -> None:
        """Answers are not to be kept."""

    def set_default_headers(self) -> None:
        """Set the headers of all answers."""
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)

    @cached_property
    def nonce(self) -> str:
        """What the page's own script and style are known by."""
        return secrets.token_urlsafe(16)

    @property
    def content_security_policy(self) -> str:
        """Allow the page's own script and style, and nothing else."""
        own = f"'nonce-{self.nonce}'"
        return (
            f"default-src 'none'; script-src {own}; style-src {own}; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )

    # --- who gets what ---

    def check_host(self) -> bool:
        """Take the host of ``PDFlow.public_url`` for a right one, beside those of Jupyter."""
        own = self._options.host
        is_own = bool(own) and self.request.host_name.rstrip(".") == own
        return is_own or super().check_host()

    async def _serve(self) -> None:
        if self._finished:  # by `_give_up`, a moment before the body was there
            return
        self._wait_no_longer()
        if not self.check_host():
            raise HTTPError(403)
        self._service_manager.check()
        if self._received > self._limit:
            raise self._too_large()
        if self._sent.method == "OPTIONS":
            self._preflight()
        elif self._client == "prefetch":
            raise HTTPError(503, "A link is not loaded ahead of a click.")
        elif self._token == TEST_TOKEN:
            self._answer_test()
        else:
            await self._serve_link()

    async def _serve_link(self) -> None:
        services = await self._service_manager.services()
        run, step, execution = self._find(services)
        place = LinkTarget(action=self._action, workflow=run.workflow_name, step=step)
        if self._client in ("program", "form"):
            await self._act(services, run, place, execution)
        else:
            self._show(run, place, execution)

    def _find(self, services: Services) -> tuple[Run, str, int]:
        """Find what the token names; only one that names nothing is counted."""
        try:
            run_id, step, execution = services.links.read(self._action, self._token)
            return services.engine.run(run_id), step, execution
        except NotFoundError:
            self._rate_limiter.count(self._sent.client_ip)
            raise unknown_link() from None

    async def _act(self, services: Services, run: Run, place: LinkTarget, execution: int) -> None:
        body, by_page = bytes(self._body), self._by_script or self._client == "form"
        request = link_request(
            self._sent, body, self._path, self._token, by_page=by_page, limit=self._limit
        )
        engine = services.engine
        move = engine.resume_pause if self._action == "resume" else engine.cancel_pause
        try:
            run = await move(run.id, place.step, execution, "link", request)
            await asyncio.sleep(0)  # the kernel is told first, while the answer is written
        except AlreadyDecidedError as error:
            self._answer_decided(error.decision, place)
        else:
            self._answer_done(place, kept=run.pending_request is not None)

    def _show(self, run: Run, place: LinkTarget, execution: int) -> None:
        """Let someone see the page, and change nothing."""
        decision = decision_on(run, place.step, execution)
        if decision is not None:
            self._answer_decided(decision, place)
        else:
            acts = self._client == "page" and not self._options.confirm
            fields = link_fields(self._sent, self._token)
            self._page(200, asking_page(place, fields, acts=acts))

    def _answer_done(self, place: LinkTarget, *, kept: bool) -> None:
        done: Result = "resumed" if self._action == "resume" else "canceled"
        result: Result = "accepted" if kept else done
        view = {"status": result, "workflow": place.workflow, "step": place.step}
        self._answer(202 if kept else 200, view, done_page(place, result, datetime.now(UTC)))

    def _answer_decided(self, decision: Decision, place: LinkTarget) -> None:
        words = decision_message(decision)
        reason = AlreadyDecidedError.reason
        view = {"message": words, "reason": reason, **decision_view(decision, place.workflow)}
        self._answer(AlreadyDecidedError.status, view, decided_page(place, decision))

    def _answer_test(self) -> None:
        view = {"status": "test", "workflow": None, "step": None, "message": TEST_WORDS}
        self._answer(200, view, plain_page("test", "A link of test mode", TEST_WORDS))

    def _preflight(self) -> None:
        asked = self.request.headers.get("Access-Control-Request-Headers", "*")
        self.set_header("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
        self.set_header("Access-Control-Allow-Headers", asked)
        self.set_header("Access-Control-Max-Age", "600")
        self.set_status(204)
        self.finish()

    # --- answers ---

    def _answer(self, status: int, view: dict[str, Any], page: Page) -> None:
        if self._client == "program" and not self._by_script:
            self._json(status, view)
        else:
            self._page(status, page)

    def _json(self, status: int, view: dict[str, Any]) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(orjson.dumps(view))

    def _page(self, status: int, page: Page) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        nonce = None if self._by_script else self.nonce
        self.finish(render(page, nonce, scripts=self._client in ("page", "form")))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with what went wrong, as JSON or as a page."""
        error = kwargs.get("exc_info", (None, None))[1]
        status, view = error_answer(status_code, error)
        page = error_page(status, view["message"])
        if isinstance(error, ConfigurationError):
            page = plain_page(page.state, page.heading, view["message"])
        elif status >= SERVER_ERRORS:
            view["message"] = UNAVAILABLE_WORDS  # what is wrong here is no stranger's business
        if isinstance(error, TooManyAttemptsError):
            self.set_header("Retry-After", str(error.seconds))
        self._answer(status, view, page)

    def _too_large(self) -> HTTPError:
        return HTTPError(413, "The body is larger than %d bytes; the pause stays.", self._limit)

    # --- logs ---

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log surprises only; a wrong link is none."""
        if not isinstance(value, PDFlowError | HTTPError):
            super().log_exception(typ, value, tb)

    def _log(self) -> None:
        """Log the request for those who debug; as an error only where the server failed."""
        if self.get_status() == SERVER_ERRORS:
            super()._log()
        else:
            self.log.debug("%d %s %s", self.get_status(), self._sent.method, self._path)
