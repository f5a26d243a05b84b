"""Where links point to: this server's address as others reach it."""

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
from jupyter_pdflow.stores.tinydb.storage import read_file, replace_file

MEMORY = "address.json"
"""The file in the data directory that keeps the origin over a restart."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAME_ORIGIN = "same-origin"
HIGHEST_PORT = 65_535
LONGEST_HOST = 253
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
    """Tells the address that links start with.

    The configured one; else JupyterHub's; else the origin to which the latest authorized
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
        self._fixed = fixed_address(configured)
        self._local = local
        self._base_url = base_url
        self._memory = memory
        self._observed = _still_good(read_memory(memory), local)

    def __call__(self) -> str:
        """Return the address, its base URL included."""
        if self._fixed:
            return self._fixed
        if self._observed is None:
            return self._local
        return url_path_join(self._observed.origin, self._base_url)

    def observe(self, handler: Any) -> None:
        """Learn from a request that the user was allowed to make and that was answered."""
        origin = origin_of(handler.request)
        if origin is None:
            return
        by_cookie = handler.identity_provider.auth_enabled and not handler.token_authenticated
        by_browser = by_cookie or "Sec-Fetch-Site" in handler.request.headers
        seen = ObservedOrigin(origin=origin, by_browser=by_browser)
        known = self._observed
        if seen == known or (known is not None and known.by_browser and not seen.by_browser):
            return
        self._observed = seen
        with suppress(OSError):  # a full disk is no reason to fail a request
            replace_file(self._memory, msgspec.json.encode(seen))


def origin_of(request: HTTPServerRequest) -> str | None:
    """Return the origin that a request was sent to, or None if its host is not a valid one.

    Behind a proxy that speaks HTTPS outside and HTTP inside, the page that a browser's request
    comes from tells the scheme; only a page of the same host can.
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
    if found["port"] is not None and not 1 <= int(found["port"]) <= HIGHEST_PORT:
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
    """Return the configured address, else JupyterHub's, else an empty text."""
    hub = os.environ.get(HUB_URL_VARIABLE, "")
    return configured or (hub if is_address(hub) else "")


def host_of(address: str) -> str:
    """Return an address's host in lower case, or an empty text if it has none."""
    found = _ORIGIN.match(address)
    return found["host"].lower().rstrip(".") if found else ""


def _is_host(host: str) -> bool:
    """Whether a host that has the form of one can be an address: `999.1.1.1` cannot."""
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        elif host.rstrip(".").rpartition(".")[2].isdecimal():
            ipaddress.IPv4Address(host.rstrip("."))
    except ValueError:
        return False
    return len(host) <= LONGEST_HOST


def read_memory(memory: Path) -> ObservedOrigin | None:
    """Read the remembered origin; whatever else the file holds is forgotten."""
    try:
        seen = msgspec.json.decode(read_file(os.fspath(memory)), type=ObservedOrigin)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    origin = valid_origin(seen.origin)
    return None if origin is None else ObservedOrigin(origin=origin, by_browser=seen.by_browser)


def _still_good(seen: ObservedOrigin | None, local: str) -> ObservedOrigin | None:
    """Forget an address on this machine whose port is not this server's any more."""
    if seen is None or host_of(seen.origin) not in LOOPBACK:
        return seen
    return seen if urlsplit(seen.origin).port == urlsplit(local).port else None
