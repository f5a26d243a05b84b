"""Where links point to: this server's address as others reach it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from jupyter_server.auth.identity import User
from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPServerRequest

HUB_VARIABLE = "JUPYTERHUB_PUBLIC_URL"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SAME_ORIGIN = "same-origin"
_ORIGIN = re.compile(r"https?://[^/?#\s]+")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An origin that an authenticated request was sent to."""

    origin: str
    by_browser: bool


class PublicAddress:
    """Tells the address that links start with.

    The configured one; else JupyterHub's; else the origin to which the latest authenticated
    browser request was sent (a program's, until a browser was seen), also after a restart;
    else the address that the server listens on.

    Parameters
    ----------
    configured : str
        ``PDFlow.public_url``; empty where it is not set.
    local : str
        The address that the server listens on, its base URL included.
    base_url : str
        The server's base URL, such as ``/user/me/``.
    memory : Path
        The file that keeps the origin over a restart.
    """

    def __init__(self, configured: str, local: str, base_url: str, memory: Path) -> None:
        self._fixed = configured or os.environ.get(HUB_VARIABLE, "")
        self._local = local
        self._base_url = base_url
        self._memory = memory
        self._seen = _still_good(_read(memory), local)

    def __call__(self) -> str:
        """Tell the address, its base URL included."""
        if self._fixed:
            return self._fixed
        if self._seen is None:
            return self._local
        return url_path_join(self._seen.origin, self._base_url)

    def notice(self, handler: Any) -> None:
        """Learn from a request that a Jupyter handler has answered."""
        if not isinstance(getattr(handler, "_jupyter_current_user", None), User):
            return
        by_cookie = handler.identity_provider.auth_enabled and not handler.token_authenticated
        by_browser = by_cookie or "Sec-Fetch-Site" in handler.request.headers
        seen = Seen(origin=origin_of(handler.request), by_browser=by_browser)
        known = self._seen
        if seen == known or (known is not None and known.by_browser and not seen.by_browser):
            return
        self._seen = seen
        with suppress(OSError):  # a full disk is no reason to fail a request of Jupyter's
            self._memory.write_bytes(msgspec.json.encode(seen))


def origin_of(request: HTTPServerRequest) -> str:
    """Tell which origin a request was sent to, as its sender sees it.

    A browser says so itself for a page's own requests; that is right also where a proxy speaks
    HTTPS outside and HTTP inside.
    """
    headers = request.headers
    if headers.get("Sec-Fetch-Site") == SAME_ORIGIN:
        found = _ORIGIN.match(headers.get("Origin") or headers.get("Referer") or "")
        if found:
            return found[0]
    return f"{request.protocol}://{request.host}"


def _read(memory: Path) -> Seen | None:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=Seen)
    except (OSError, msgspec.MsgspecError):
        return None


def _still_good(seen: Seen | None, local: str) -> Seen | None:
    """Forget an address on this machine whose port is not this server's any more."""
    if seen is None:
        return None
    was, now = urlsplit(seen.origin), urlsplit(local)
    return seen if was.hostname not in LOOPBACK or was.port == now.port else None
