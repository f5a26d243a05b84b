"""How requests to links are taken in: without the token, and with their bodies within limits."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import unquote

from jupyter_server.base.handlers import JupyterHandler
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, stream_request_body

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.server.links.clients import RateLimiter, classify
from jupyter_pdflow.server.links.pages import SERVER_ERROR
from jupyter_pdflow.server.links.requests import HIDDEN, request_head
from jupyter_pdflow.server.links.tokens import Action, token_in
from jupyter_pdflow.server.services import ServiceManager

BODY_TIMEOUT_FACTOR = 10
"""Maximum time of a whole body, as a multiple of `LinkOptions.body_seconds`."""

MAX_DISCARDED = 16 * 1024 * 1024
"""Maximum number of bytes beyond the limit that are read before the connection is closed."""

PAGE_HEADER = "X-PDFlow-Page"
"""The header that a link page's script sends; the answer to it is a page."""

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
class LinkRequestHandler(JupyterHandler):
    """Takes in a request to a link.

    A subclass calls `finish_body`, `refuse_other_hosts` and `check_body` before it answers.
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
        self._head = request_head(self.request)
        self._limit = options.max_body_bytes
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

    def finish_body(self) -> bool:
        """Stop waiting for the body; return whether the request is still to be answered."""
        if self._finished:  # by `_await_body`, just before the body was complete
            return False
        self._stop_body_timer()
        return True

    def check_body(self) -> None:
        """Raise HTTPError if the body was too large."""
        if self._received > self._limit:
            raise self._too_large()

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

    async def refuse_other_hosts(self) -> None:
        """Raise HTTPError if the request was sent to a host that is not this server's."""
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
