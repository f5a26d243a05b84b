"""Requests as handlers see them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from jupyter_pdflow.server.links.requests import (
    RequestHead,
    api_request,
    link_request,
    request_head,
)

TOKEN = "WyJydW4iXQ.c2VjcmV0"
HEADERS = {
    "host": "here.example",
    "content-type": "application/json",
    "referer": f"https://here.example/pdflow/resume/{TOKEN}?a=1",
    "x-from": "https://here.example/pdflow/cancel/WyJhbm90aGVyIl0.abc",
    "x-original-uri": f"/pdflow/resume/{TOKEN}",
    "authorization": "Bearer b",
    "proxy-authorization": "Basic p",
    "cookie": "session=c",
    "x-xsrftoken": "x",
    "x-custom": "kept",
}
HEAD = RequestHead(
    method="PUT",
    origin="https://here.example",
    path=f"/pdflow/resume/{TOKEN}",
    query=f"a=1&a=2&b=&back=/pdflow/resume/{TOKEN}",
    headers=HEADERS,
    client_ip="203.0.113.7",
)


def test_a_request_has_the_specified_shape() -> None:
    request = link_request(HEAD, b'{"ok": true}', "/pdflow/resume/***", TOKEN, limit=1000)
    assert request == {
        "method": "PUT",
        "path": "/pdflow/resume/***",
        "url": "https://here.example/pdflow/resume/***?a=1&a=2&b=&back=/pdflow/resume/***",
        "query": {"a": ["1", "2"], "b": "", "back": "/pdflow/resume/***"},
        "headers": {
            "host": "here.example",
            "content-type": "application/json",
            "referer": "https://here.example/pdflow/resume/***?a=1",
            "x-from": "https://here.example/pdflow/cancel/***",
            "x-original-uri": "/pdflow/resume/***",
            "x-custom": "kept",
        },
        "body": {"ok": True},
        "client_ip": "203.0.113.7",
    }


def test_a_malformed_body_comes_with_an_error() -> None:
    request = link_request(HEAD, b"{", "/pdflow/resume/***", TOKEN, limit=1000)
    assert request["body"] == "{"
    assert "not JSON" in request["body_error"]


def test_a_resume_by_the_api_has_the_same_shape_and_nothing_of_its_client() -> None:
    head = RequestHead(
        method="POST",
        origin="http://here",
        path="/pdflow/api/runs/1/resume",
        query="token=abc&_xsrf=def&note=hi",
        headers=HEADERS,
        client_ip=None,
    )
    request = api_request(head, {"ok": 1})
    assert request == {
        "method": "POST",
        "path": "/pdflow/api/runs/1/resume",
        "url": "http://here/pdflow/api/runs/1/resume",
        "query": {},
        "headers": {"content-type": "application/json"},
        "body": {"ok": 1},
        "client_ip": None,
    }


def test_repeated_headers_are_joined() -> None:
    headers = HTTPHeaders({"Host": "here"})
    headers.add("X-Two", "a")
    headers.add("X-Two", "b")
    start = RequestStartLine("GET", "/x?y=1", "HTTP/1.1")
    head = request_head(HTTPServerRequest(start_line=start, headers=headers))
    assert head.headers["x-two"] == "a,b"
    assert (head.path, head.query, head.origin) == ("/x", "y=1", "http://here")


@given(
    st.text(st.characters(max_codepoint=255)),
    st.dictionaries(st.text(), st.text(st.characters(max_codepoint=255))),
    st.binary(),
)
def test_any_request_is_described_as_json(query: str, headers: dict[str, str], body: bytes) -> None:
    head = RequestHead(
        method="X", origin="http://h", path="/p", query=query, headers=headers, client_ip="::1"
    )
    msgspec.json.encode(link_request(head, body, "/pdflow/resume/***", TOKEN, limit=1000))
