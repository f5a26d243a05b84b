"""An HTTP request as handlers see it: ``$resume_data`` and ``callback_request``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct
from tornado.httputil import HTTPServerRequest

from jupyter_pdflow.rules.run import Request
from jupyter_pdflow.server.bodies import BadBodyError, collect, parse_json, read_body

HIDDEN = "***"
"""Stands where a secret was."""

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-xsrftoken"})
SECRET_ARGUMENTS = frozenset({"token", "_xsrf"})
"""Query arguments with which Jupyter's own API is used."""


class Incoming(Struct, frozen=True, kw_only=True):
    """What is known of a request before its body.

    Attributes
    ----------
    origin : str
        Scheme and host that it was sent to.
    path, query : str
        As sent, percent-encoded.
    headers : dict
        By lowercase name; values of repeated ones are joined with commas.
    """

    method: str
    origin: str
    path: str
    query: str
    headers: Mapping[str, str]
    client_ip: str | None


def incoming(request: HTTPServerRequest) -> Incoming:
    """Take down a request as Tornado has it."""
    return Incoming(
        method=request.method or "",
        origin=f"{request.protocol}://{request.host}",
        path=request.path,
        query=request.query,
        headers={name.lower(): value for name, value in request.headers.items()},
        client_ip=request.remote_ip,
    )


def link_request(
    sent: Incoming, body: bytes, path: str, token: str, *, limit: int, by_page: bool = False
) -> Request:
    """Describe a request to a link, without the link's secret.

    Parameters
    ----------
    sent : Incoming
        The request.
    body : bytes
        Its body.
    path : str
        Its path, with something harmless in the token's place.
    token : str
        The secret, which proxies may have copied to headers.
    limit : int
        How many bytes the body may have when it is unpacked.
    by_page : bool
        Whether a link's page sent it, by its script or its button: then an empty note is left out
        and the field ``json`` is parsed.

    Raises
    ------
    BodyTooLargeError
        The body is larger when it is unpacked.
    """
    content_type = sent.headers.get("content-type", "")
    parsed = read_body(content_type, sent.headers.get("content-encoding", ""), body, limit=limit)
    if by_page and isinstance(parsed["body"], dict):
        parsed = {**parsed, "body": _page_body(parsed["body"])}
    headers = {name: text.replace(token, HIDDEN) for name, text in sent.headers.items()}
    return _request(sent, path, sent.query.replace(token, HIDDEN), headers, parsed)


def link_fields(sent: Incoming, token: str) -> list[tuple[str, str]]:
    """Get the fields that a link's address brings, which its page sends on as its body."""
    return parse_qsl(sent.query.replace(token, HIDDEN), keep_blank_values=True)


def api_request(sent: Incoming, data: Any) -> Request:
    """Describe a resume by the private API in the same shape, its data as the body.

    The page that it comes from is left out: its address may have Jupyter's token.
    """
    pairs = parse_qsl(sent.query, keep_blank_values=True)
    query = urlencode([pair for pair in pairs if pair[0] not in SECRET_ARGUMENTS])
    headers = {name: text for name, text in sent.headers.items() if name != "referer"}
    return _request(sent, sent.path, query, headers, {"body": data})


def _page_body(fields: dict[str, Any]) -> dict[str, Any] | None:
    """Make the body of what a page's form has sent; None where that is nothing."""
    body = {name: value for name, value in fields.items() if (name, value) != ("note", "")}
    if isinstance(body.get("json"), str):
        with suppress(BadBodyError):
            body["json"] = parse_json(body["json"])
    return body or None


def _request(
    sent: Incoming, path: str, query: str, headers: Mapping[str, str], body: dict[str, Any]
) -> Request:
    return {
        "method": sent.method,
        "path": path,
        "url": f"{sent.origin}{path}{'?' if query else ''}{query}",
        "query": collect(parse_qsl(query, keep_blank_values=True)),
        "headers": {name: text for name, text in headers.items() if name not in SECRET_HEADERS},
        **body,
        "client_ip": sent.client_ip,
    }
