"""The pages of links as HTML, and the requests that they send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from jupyter_pdflow.rules.pauses import Actor, Decision, Resolution
from jupyter_pdflow.server.links.pages import (
    LinkTarget,
    decided_page,
    error_page,
    form_page,
    render,
)
from jupyter_pdflow.server.links.requests import RequestHead, link_fields, link_request
from jupyter_pdflow.server.links.tokens import Action

TOKEN = "WyJydW4iXQ.c2VjcmV0"
FORM = "application/x-www-form-urlencoded"
TARGET = LinkTarget(action="resume", workflow="approval", step="ask")
AT = datetime(2026, 11, 22, 16, 8, 30, tzinfo=UTC)


def head(query: str = "", content_type: str = FORM) -> RequestHead:
    return RequestHead(
        method="POST",
        origin="https://here.example",
        path=f"/pdflow/resume/{TOKEN}",
        query=query,
        headers={"content-type": content_type},
        client_ip=None,
    )


def body(fields: dict[str, str], *, by_page: bool) -> Any:
    data = urlencode(fields).encode()
    path = "/pdflow/resume/***"
    return link_request(head(), data, path, TOKEN, limit=1000, by_page=by_page)["body"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"note": ""}, None),
        ({"note": "fine"}, {"note": "fine"}),
        ({"note": "", "who": ""}, {"who": ""}),
        ({"count": "3", "list": "[1]"}, {"count": "3", "list": "[1]"}),
        ({"json": '{"a": [1, null]}'}, {"json": {"a": [1, None]}}),
        ({"json": "{not json"}, {"json": "{not json"}),
        ({"json": "123456789012345678901"}, {"json": 123456789012345678901}),
        ({"json": ""}, {"json": ""}),
    ],
)
def test_the_body_of_a_request_by_a_page(fields: dict[str, str], expected: Any) -> None:
    assert body(fields, by_page=True) == expected


def test_the_body_of_a_request_by_a_program_is_unchanged() -> None:
    fields = {"note": "", "json": "[1]"}
    assert body(fields, by_page=False) == fields


def test_a_page_sends_the_fields_of_the_query_without_the_token() -> None:
    assert link_fields(head(f"a=1&a=&back=/x/{TOKEN}"), TOKEN) == [
        ("a", "1"),
        ("a", ""),
        ("back", "/x/***"),
    ]


def test_fields_of_the_query_are_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    fields = [("note", f"</textarea>{evil}"), (evil, evil), ("note", f"\n</textarea>{evil}")]
    html = render(form_page(TARGET, fields, acts=True), "n", scripts=True)
    assert html.count("<script") == 1
    assert html.count("</textarea>") == 1
    assert html.count('name="note"') == 2


def test_a_page_without_a_script_has_a_button() -> None:
    html = render(form_page(TARGET, [], acts=False), "n", scripts=False)
    assert "<script" not in html
    assert ">Resume the workflow</button>" in html


@pytest.mark.parametrize(
    ("action", "how", "by", "message"),
    [
        ("resume", "resumed", "link", "was already resumed by this link."),
        ("resume", "canceled", "link", "was already canceled by its cancel link."),
        ("cancel", "resumed", "link", "was already resumed by its resume link."),
        ("cancel", "canceled", "link", "was already canceled by this link."),
        ("resume", "resumed", "button", "was already resumed by a button in Jupyter."),
        ("resume", "resumed", "api", "was already resumed through the API."),
        ("resume", "resumed", "cli", "was already resumed from the command line."),
        ("resume", "resumed", "timer", "was already resumed by its timer."),
        ("resume", "canceled", None, "was already canceled."),
        ("cancel", "rejected", "link", "was already canceled by this link."),
        ("resume", "rejected", "link", "was already canceled by its cancel link."),
        ("cancel", "timed_out", "timer", "no answer came in time."),
        ("cancel", "not_paused", None, "is not waiting any more."),
        ("resume", "failed", None, "is not waiting any more: its run failed."),
        ("cancel", "exited", None, "is not waiting any more: its run ended early."),
        ("resume", "succeeded", None, "is not waiting any more: its run succeeded."),
    ],
)
def test_a_page_shows_how_the_pause_was_decided(
    action: Action, how: Resolution, by: Actor | None, message: str
) -> None:
    target = LinkTarget(action=action, workflow="approval", step="ask")
    decision = Decision(step="ask", execution=1, resolution=how, by=by, at=AT)
    html = render(decided_page(target, decision), "n", scripts=True)
    assert "Step “ask” of workflow “approval” " in html
    assert message in html
    assert '<time datetime="2026-11-22T16:08:30Z">2026-11-22 16:08:30 UTC</time>' in html


@pytest.mark.parametrize(
    ("status", "heading", "again"),
    [
        (404, "This link is not valid", False),
        (413, "Not possible", False),
        (503, "Not possible right now", True),
        (500, "Not possible right now", True),
    ],
)
def test_a_page_shows_the_error(status: int, heading: str, again: bool) -> None:
    html = render(error_page(status, "Because."), "n", scripts=True)
    assert f"<h1>{heading}</h1>" in html
    assert ("Because." in html) is (status < 500)
    assert ('<a class="again" href="">' in html) is again
