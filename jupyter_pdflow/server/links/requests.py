"""Requests as handlers see them: method, URL, headers, client address and parsed body.

`link_request` describes a request to a link, `api_request` a resume by the private API.
`read_body` parses a body by its content type.
"""

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
from urllib.parse import parse_qsl

import msgspec
import orjson
from msgspec import Struct
from tornado.httputil import HTTPFile, HTTPInputError, HTTPServerRequest, parse_body_arguments

from jupyter_pdflow.exceptions import BadBodyError, BodyTooLargeError
from jupyter_pdflow.formatting import without_secrets
from jupyter_pdflow.rules.history import NOTE_LIMIT
from jupyter_pdflow.rules.pauses import Request

HIDDEN = "***"
"""Replaces a secret."""

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-xsrftoken"})
"""Headers that handlers don't see."""

JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"
"""Content types: of the API's bodies, and of forms."""

MAX_FIELDS = 10_000
"""Maximum number of fields of a form."""

MAX_LEVELS = 255
"""Maximum number of nested lists and objects that orjson writes."""

RECORD_LEVELS = 32
"""Levels that are reserved for the run's record around a body."""

REFUSED_CODECS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
"""Python's text codecs that are no charset of HTTP; some take quadratic time."""

COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate"})
"""Content encodings that are decompressed."""


class RequestHead(Struct, frozen=True, kw_only=True):
    """A request without its body.

    Attributes
    ----------
    origin : str
        Scheme and host that the request was sent to.
    path, query : str
        As sent, percent-encoded.
    headers : dict
        By lowercase name; the values of a repeated header are joined with commas.
    """

    method: str
    origin: str
    path: str
    query: str
    headers: Mapping[str, str]
    client_ip: str | None


def request_head(request: HTTPServerRequest) -> RequestHead:
    """Return the head of a Tornado request."""
    return RequestHead(
        method=request.method or "",
        origin=f"{request.protocol}://{request.host}",
        path=request.path,
        query=request.query,
        headers={name.lower(): value for name, value in request.headers.items()},
        client_ip=request.remote_ip,
    )


def link_request(
    head: RequestHead,
    body: bytes,
    path: str,
    token: str,
    *,
    limit: int,
    by_page: bool = False,
    has_form: bool = False,
) -> Request:
    """Describe a request to a link, without the link's token.

    Parameters
    ----------
    head : RequestHead
        The request without its body.
    body : bytes
        Its body.
    path : str
        Its path with the token replaced.
    token : str
        The token; proxies may have copied it to headers.
    limit : int
        Maximum number of bytes of the decompressed body.
    by_page : bool
        Whether a link's page sent the request, by its script or its button. Then an empty note is
        left out, and the field ``json`` is parsed.
    has_form : bool
        Whether that page had the form of the pause, so that the body has its fields as typed.

    Raises
    ------
    BodyTooLargeError
        The decompressed body is larger than the limit.
    """
    content_type = head.headers.get("content-type", "")
    parsed = read_body(content_type, head.headers.get("content-encoding", ""), body, limit=limit)
    if has_form and by_page:
        parsed["body"] = {} if parsed["body"] is None else parsed["body"]
    elif by_page and isinstance(parsed["body"], dict):
        parsed["body"] = _page_body(parsed["body"])
    headers = {
        # Also another link's token, such as that of a personal link in a Referer.
        name: without_secrets(text.replace(token, HIDDEN), HIDDEN)
        for name, text in head.headers.items()
    }
    return _request(head, path, head.query.replace(token, HIDDEN), headers, parsed)


def note_in(request: Request, *, or_query: bool = False) -> str | None:
    """Return the note in the body of a request, or in its query if that counts without a body."""
    body = request.get("body")
    fields = request.get("query") if or_query and body is None else body
    note = fields.get("note") if isinstance(fields, dict) else None
    return note[:NOTE_LIMIT] if isinstance(note, str) and note.strip() else None


def link_fields(head: RequestHead, token: str) -> list[tuple[str, str]]:
    """Return the fields of a link's query; the link's page sends them in its body."""
    return parse_qsl(head.query.replace(token, HIDDEN), keep_blank_values=True)


def read_form(head: RequestHead, body: bytes, *, limit: int) -> dict[str, Any]:
    """Return the fields of a form that a page has sent; none if the body is not a form."""
    content_type = head.headers.get("content-type", "")
    fields = read_body(content_type, head.headers.get("content-encoding", ""), body, limit=limit)
    return fields["body"] if isinstance(fields["body"], dict) else {}


def api_request(head: RequestHead, data: Any, content_type: str = JSON_TYPE) -> Request:
    """Describe an answer by the private API like a request to a link, with its data as the body.

    It is the same for all clients of the API. What a browser adds on its own says nothing about
    the answer: headers, and a query that only keeps caches out.
    """
    return _request(head, head.path, "", {"content-type": content_type}, {"body": data})


def _page_body(fields: dict[str, Any]) -> dict[str, Any] | None:
    """Return the body of a request that a page's form sent, or None if it has no fields."""
    body = {name: value for name, value in fields.items() if (name, value) != ("note", "")}
    if isinstance(body.get("json"), str):
        with suppress(BadBodyError):
            body["json"] = _parse_json(body["json"])
    return body or None


def _request(
    head: RequestHead, path: str, query: str, headers: Mapping[str, str], body: dict[str, Any]
) -> Request:
    return {
        "method": head.method,
        "path": path,
        "url": f"{head.origin}{path}{'?' if query else ''}{query}",
        "query": merge_fields(parse_qsl(query, keep_blank_values=True)),
        "headers": {name: text for name, text in headers.items() if name not in SECRET_HEADERS},
        **body,
        "client_ip": head.client_ip,
    }


# --- bodies ---


def read_body(
    content_type: str, content_encoding: str, body: bytes, *, limit: int
) -> dict[str, Any]:
    """Decompress a body if its encoding is known, and parse it by its content type.

    Parameters
    ----------
    content_type, content_encoding : str
        The headers of these names, or empty texts.
    body : bytes
        The body as received.
    limit : int
        Maximum number of bytes of the decompressed body.

    Returns
    -------
    dict
        The parsed ``body``. If it is malformed: the raw text as ``body``, and ``body_error``.

    Raises
    ------
    BodyTooLargeError
        The decompressed body is larger than the limit.
    """
    if not body:
        return {"body": None}
    encoding = content_encoding.strip().lower()
    try:
        if encoding in COMPRESSIONS:
            body = _decompress(encoding, body, limit)
        elif encoding not in ("", "identity"):
            return {"body": _binary(content_type, body)}
        return {"body": _parse(content_type, body) if body else None}
    except BodyTooLargeError:
        raise
    except BadBodyError as error:
        message = str(error)
    except Exception as error:  # noqa: BLE001
        # A malformed body must never cost the resume, whatever a parser raises.
        message = f"The body can't be read: {type(error).__name__}."
    return {"body": body.decode(errors="replace"), "body_error": message}


def is_storable(value: Any) -> bool:
    """Whether a value can be written as JSON within a run's record."""
    within = value
    for _ in range(RECORD_LEVELS):
        within = [within]
    try:
        orjson.dumps(within)
    except orjson.JSONEncodeError:
        # orjson also refuses integers of more than 64 bits, which records can contain.
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
    for _ in range(MAX_LEVELS - RECORD_LEVELS + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def _decompress(encoding: str, body: bytes, limit: int) -> bytes:
    """Decompress a body.

    Raises
    ------
    BadBodyError
        The body is not compressed in this encoding, or is incomplete.
    BodyTooLargeError
        The decompressed body is larger than the limit.
    """
    # One byte more than the limit is read, and no more: a few bytes can expand to gigabytes.
    try:
        if encoding == "deflate":
            decompressed = _inflate(body, limit + 1)
        else:
            with gzip.GzipFile(fileobj=BytesIO(body)) as file:
                decompressed = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"The body is not compressed as its content encoding {encoding!r} says: {error}."
        raise BadBodyError(msg) from error
    if len(decompressed) > limit:
        raise BodyTooLargeError(limit)
    return decompressed


def _inflate(body: bytes, size: int) -> bytes:
    # Some clients send "deflate" without zlib's header (RFC 1950).
    has_header = body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    stream = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
    decompressed = stream.decompress(body, size)
    if len(decompressed) < size and not stream.eof:
        msg = "its end is missing"
        raise EOFError(msg)
    return decompressed


def _parse(content_type: str, body: bytes) -> Any:
    header = Message()
    header["Content-Type"] = content_type or "application/octet-stream"
    value = _parse_as(header.get_content_type(), header, body)
    if not is_storable(value):
        msg = "The body is nested too deeply, or holds text that is not Unicode."
        raise BadBodyError(msg)
    return value


def _parse_as(media_type: str, header: Message, body: bytes) -> Any:
    if media_type == JSON_TYPE or media_type.endswith("+json"):
        text = _text(header, body, "utf-8-sig")
        return _parse_json(text) if text.strip() else None
    if media_type == FORM_TYPE:
        return _form(header, body)
    if media_type == "multipart/form-data":
        return _multipart(header, body)
    if media_type.startswith("text/"):
        return _text(header, body, "utf-8")
    return _binary(str(header["Content-Type"]), body)


def _parse_json(text: str) -> Any:
    # msgspec keeps integers of more than 64 bits; orjson would make floats of them.
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        msg = f"The body is not JSON: {error}."
        raise BadBodyError(msg) from error


def _form(header: Message, body: bytes) -> dict[str, Any]:
    charset = _charset(header, "utf-8")
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        msg = f"The body is not a form: {error}."
        raise BadBodyError(msg) from error
    return merge_fields(pairs)


def _multipart(header: Message, body: bytes) -> dict[str, Any]:
    arguments: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        content_type = f"multipart/form-data; boundary={header.get_boundary('')}"
        parse_body_arguments(content_type, body, arguments, files)
        pairs = [(name, value.decode()) for name, found in arguments.items() for value in found]
    except (HTTPInputError, ValueError) as error:
        msg = f"The body is not multipart/form-data: {error}."
        raise BadBodyError(msg) from error
    return merge_fields([*pairs, *((name, _file(file)) for name in files for file in files[name])])


def merge_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return fields by name: the value of a single field, a list of values of a repeated one."""
    fields: dict[str, list[Any]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


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
    except (LookupError, ValueError) as error:
        msg = f"The body's charset {given!r} is not known."
        raise BadBodyError(msg) from error
    if name in REFUSED_CODECS:
        msg = f"The body's charset {given!r} is not accepted."
        raise BadBodyError(msg)
    return name
