"""The request on a link as handlers see it: headers, client address and body."""

from __future__ import annotations

import base64
import codecs
import gzip
import zlib
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import orjson
from msgspec import Struct
from tornado.httputil import HTTPFile, HTTPInputError, HTTPServerRequest, parse_body_arguments

from jupyter_pdflow.exceptions import BadBodyError, BodyTooLargeError
from jupyter_pdflow.rules.run import Request

MAX_FIELDS = 10_000
MOST_LEVELS = 255
"""Levels of lists and objects that orjson writes."""

NESTING_ABOVE = 32
"""Levels that a run's own record may put around a body."""

SLOW_OR_ODD = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
"""Text codecs that no sender of a request means, some of them with quadratic running time."""


PACKED = frozenset({"gzip", "x-gzip", "deflate"})
"""Content codings that are unpacked."""

RAW_DEFLATE = -zlib.MAX_WBITS
"""What some senders mean by ``deflate``: the stream without zlib's header."""


def read_body(
    content_type: str, content_encoding: str, body: bytes, *, limit: int
) -> dict[str, Any]:
    """Parse a body by its content type, and unpack it first where that is needed.

    Parameters
    ----------
    content_type, content_encoding : str
        The headers of these names; empty where there is none.
    body : bytes
        The body as received.
    limit : int
        How many bytes it may have when it is unpacked.

    Returns
    -------
    dict
        ``body``; where it is malformed, that is the raw text, with ``body_error`` beside it.

    Raises
    ------
    BodyTooLargeError
        It is larger when it is unpacked.
    """
    if not body:
        return {"body": None}
    coding = content_encoding.strip().lower()
    try:
        if coding in PACKED:
            body = unpack(coding, body, limit)
        elif coding not in ("", "identity"):
            return {"body": _binary(content_type, body)}
        value = _parse(content_type, body) if body else None
    except BodyTooLargeError:
        raise
    except BadBodyError as error:
        return _malformed(body, str(error))
    except Exception as error:  # noqa: BLE001  no parser's surprise may cost the resume
        return _malformed(body, f"The body can't be read: {type(error).__name__}.")
    return {"body": value}


def unpack(coding: str, body: bytes, limit: int) -> bytes:
    """Unpack a body, and no more of it than the limit: a few bytes can stand for gigabytes.

    Raises
    ------
    BadBodyError
        It is not packed in this way, or not all of it is there.
    BodyTooLargeError
    """
    try:
        unpacked = _inflate(body, limit) if coding == "deflate" else _gunzip(body, limit)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"The body is not packed as its content encoding {coding!r} says: {error}."
        raise BadBodyError(msg) from error
    if len(unpacked) > limit:
        raise BodyTooLargeError(limit)
    return unpacked


def _gunzip(body: bytes, limit: int) -> bytes:
    with gzip.GzipFile(fileobj=BytesIO(body)) as file:
        return file.read(limit + 1)


def _inflate(body: bytes, limit: int) -> bytes:
    packed = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(body) else RAW_DEFLATE)
    unpacked = packed.decompress(body, limit + 1)
    if len(unpacked) <= limit and not packed.eof:
        msg = "its end is missing"
        raise EOFError(msg)
    return unpacked


def _is_zlib(body: bytes) -> bool:
    """Whether a body starts as RFC 1950 has it."""
    return body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0


def parse_json(text: str) -> Any:
    """Parse JSON; integers of more than 64 bits stay what they are.

    Raises
    ------
    BadBodyError
        It is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        msg = f"The body is not JSON: {error}."
        raise BadBodyError(msg) from error


def is_storable(value: Any) -> bool:
    """Whether a value can be written as JSON within a run's record."""
    within = value
    for _ in range(NESTING_ABOVE):
        within = [within]
    try:
        orjson.dumps(within)
    except orjson.JSONEncodeError:
        # It also refuses integers of more than 64 bits, which records can hold.
        return _is_writable(value) and not _is_deep(value)
    return True


def _is_writable(value: Any) -> bool:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_deep(value: Any) -> bool:
    level: list[Any] = [[value]]
    for _ in range(MOST_LEVELS - NESTING_ABOVE + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of fields: one that comes once is itself, one that is repeated is a list."""
    fields: dict[str, list[Any]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


def _malformed(body: bytes, error: str) -> dict[str, Any]:
    return {"body": body.decode(errors="replace"), "body_error": error}


def _parse(content_type: str, body: bytes) -> Any:
    header = Message()
    header["Content-Type"] = content_type or "application/octet-stream"
    kind = header.get_content_type()
    value = _parse_as(kind, header, body)
    if not is_storable(value):
        msg = "The body is nested too deeply, or holds text that is not Unicode."
        raise BadBodyError(msg)
    return value


def _parse_as(kind: str, header: Message, body: bytes) -> Any:
    if kind == "application/json" or kind.endswith("+json"):
        return _json(_text(header, body, "utf-8-sig"))
    if kind == "application/x-www-form-urlencoded":
        return _form(header, body)
    if kind == "multipart/form-data":
        return _multipart(header, body)
    if kind.startswith("text/"):
        return _text(header, body, "utf-8")
    return _binary(str(header["Content-Type"]), body)


def _json(text: str) -> Any:
    if not text.strip():
        return None
    return parse_json(text)


def _form(header: Message, body: bytes) -> dict[str, Any]:
    charset = _charset(header, "utf-8")
    try:
        text = body.decode("utf-8")
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        msg = f"The body is not a form: {error}."
        raise BadBodyError(msg) from error
    return collect(pairs)


def _multipart(header: Message, body: bytes) -> dict[str, Any]:
    arguments: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        kind = f"multipart/form-data; boundary={header.get_boundary('')}"
        parse_body_arguments(kind, body, arguments, files)
        pairs = [(name, value.decode()) for name, found in arguments.items() for value in found]
    except (HTTPInputError, ValueError) as error:
        msg = f"The body is not multipart/form-data: {error}."
        raise BadBodyError(msg) from error
    return collect([*pairs, *((name, _file(file)) for name in files for file in files[name])])


def _file(file: HTTPFile) -> dict[str, Any]:
    return {"filename": file.filename, **_binary(file.content_type, file.body)}


def _binary(content_type: str, body: bytes) -> dict[str, Any]:
    return {
        "content_type": content_type,
        "size": len(body),
        "base64": base64.b64encode(body).decode(),
    }


def _text(header: Message, body: bytes, default: str) -> str:
    try:
        return body.decode(_charset(header, default))
    except ValueError as error:
        msg = f"The body is not text in its charset: {error}."
        raise BadBodyError(msg) from error


def _charset(header: Message, default: str) -> str:
    given = header.get_content_charset()
    if given is None or given in ("utf8", "utf-8"):
        return default
    try:
        name = codecs.lookup(given).name
        b"".decode(given)
    except (LookupError, ValueError) as error:
        msg = f"The body's charset {given!r} is not known."
        raise BadBodyError(msg) from error
    if name in SLOW_OR_ODD:
        msg = f"The body's charset {given!r} is not taken."
        raise BadBodyError(msg)
    return name


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
