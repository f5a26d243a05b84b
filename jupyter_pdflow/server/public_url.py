"""The public address of this server, which links start with."""

from __future__ import annotations

import ipaddress
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPServerRequest

from jupyter_pdflow.settings import HUB_URL_VARIABLE
from jupyter_pdflow.stores.files import read_file, replace_file

ORIGIN_FILE = "address.json"
"""The file in the data directory that keeps the observed origin over a restart."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAME_ORIGIN = "same-origin"
MAX_PORT = 65_535
MAX_HOST_LENGTH = 253
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)
_PATH = re.compile(r"(?:/[\w.~!$&()*+,;=:@%/-]*)?", re.ASCII)


class ObservedOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """An origin that an authorized request was sent to."""

    origin: str
    by_browser: bool


class PublicAddress:
    """Returns the public address of this server when it is called.

    This is the first of these that is known:

    1. the configured address;
    2. the address that JupyterHub sets;
    3. the origin that the latest authorized request of a browser was sent to, or of a program if
       no browser has sent one; it is kept over a restart;
    4. the address that the server listens on.

    Parameters
    ----------
    configured : str
        ``PDFlow.public_url``, or an empty text.
    local : str
        The address that the server listens on, with its base URL.
    base_url : str
        The server's base URL, such as ``/user/me/``.
    origin_file : Path
        The file that keeps the observed origin.
    """

    def __init__(self, configured: str, local: str, base_url: str, origin_file: Path) -> None:
        self._fixed = fixed_address(configured)
        self._local = local
        self._base_url = base_url
        self._origin_file = origin_file
        self._observed = _unless_outdated(read_origin(origin_file), local)

    def __call__(self) -> str:
        """Return the address with its base URL."""
        if self._fixed:
            return self._fixed
        if self._observed is None:
            return self._local
        return url_path_join(self._observed.origin, self._base_url)

    @property
    def host(self) -> str:
        """The host of the configured address in lower case; empty if none is configured."""
        return host_of(self._fixed)

    def observe(self, handler: Any) -> None:
        """Learn the origin from a request that was authorized and answered."""
        origin = origin_of(handler.request)
        if origin is None:
            return
        by_cookie = handler.identity_provider.auth_enabled and not handler.token_authenticated
        by_browser = by_cookie or "Sec-Fetch-Site" in handler.request.headers
        new = ObservedOrigin(origin=origin, by_browser=by_browser)
        known = self._observed
        if new == known or (known is not None and known.by_browser and not new.by_browser):
            return
        self._observed = new
        with suppress(OSError):  # A full disk must not fail the request.
            replace_file(self._origin_file, msgspec.json.encode(new))


def origin_of(request: HTTPServerRequest) -> str | None:
    """Return the origin that a request was sent to, or None if its host is not valid.

    A proxy may receive HTTPS and forward HTTP. Then the scheme is that of the page that sent the
    request, if the page has the same host. The ``Origin`` header is not used: it names the
    sender of a request, and not the server.
    """
    origin = valid_origin(f"{request.protocol}://{request.host}")
    if origin is None or request.headers.get("Sec-Fetch-Site") != SAME_ORIGIN:
        return origin
    secure = f"https://{origin.partition('://')[2]}"
    page = _ORIGIN.match(request.headers.get("Referer", ""))
    return secure if page and valid_origin(page[0]) == secure else origin


def valid_origin(text: str) -> str | None:
    """Return an http(s) origin in lower case, or None if a browser could not open it."""
    found = _ORIGIN.fullmatch(text)
    if found is None or not _is_host(found["host"]):
        return None
    if found["port"] is not None and not 1 <= int(found["port"]) <= MAX_PORT:
        return None
    return text.lower()


def is_address(text: str) -> bool:
    """Whether a text is an http(s) address that links can start with."""
    origin = _ORIGIN.match(text)
    return (
        origin is not None
        and valid_origin(origin[0]) is not None
        and _PATH.fullmatch(text, origin.end()) is not None
    )


def fixed_address(configured: str) -> str:
    """Return the configured address, or else JupyterHub's, or else an empty text."""
    hub = os.environ.get(HUB_URL_VARIABLE, "")
    return configured or (hub if is_address(hub) else "")


def host_of(address: str) -> str:
    """Return an address's host in lower case, or an empty text if the address has none."""
    found = _ORIGIN.match(address)
    return found["host"].lower().rstrip(".") if found else ""


def read_origin(path: Path) -> ObservedOrigin | None:
    """Return the stored origin, or None if the file can't be read or the origin is not valid."""
    try:
        stored = msgspec.json.decode(read_file(os.fspath(path)), type=ObservedOrigin)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    origin = valid_origin(stored.origin)
    return None if origin is None else ObservedOrigin(origin=origin, by_browser=stored.by_browser)


def _is_host(host: str) -> bool:
    """Whether a text that matches `_ORIGIN` is a host: `999.1.1.1` is not one."""
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        elif host.rstrip(".").rpartition(".")[2].isdecimal():
            ipaddress.IPv4Address(host.rstrip("."))
    except ValueError:
        return False
    return len(host) <= MAX_HOST_LENGTH


def _unless_outdated(stored: ObservedOrigin | None, local: str) -> ObservedOrigin | None:
    """Return the stored origin, or None if it is on this machine and has another port.

    The server may have listened on another port before the restart.
    """
    if stored is None or host_of(stored.origin) not in LOOPBACK:
        return stored
    return stored if urlsplit(stored.origin).port == urlsplit(local).port else None
