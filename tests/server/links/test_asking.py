"""Links whose pause asks: their pages, and who decides by them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.identity import ENVIRONMENT, cookie
from tests.server.asking import (
    APPROVERS,
    ARGUMENTS,
    FORM,
    Form,
    answer_body,
    asking,
    exports,
    invalid_fields,
    personal_links,
)
from tests.server.links.test_links import BROWSER
from tests.servers import JupyterServer

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
BY_SCRIPT = {"X-PDFlow-Page": "1", "Sec-Fetch-Mode": "cors", **FORM_TYPE}
READERS: list[tuple[str, dict[str, str]]] = [
    ("HEAD", {}),
    ("OPTIONS", {}),
    ("GET", {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}),
    ("GET", {**BROWSER, "Sec-Purpose": "prefetch"}),
    ("GET", BROWSER),
]
EVIL = (
    """</textarea><script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1))"""
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("asking")
    with JupyterServer(folder, ARGUMENTS, env=ENVIRONMENT) as running:
        yield running


def page(server: JupyterServer, url: str) -> httpx.Response:
    """Open a link in a browser."""
    return server.http.get(url, headers=BROWSER)


def press(server: JupyterServer, url: str, fields: Any, button: str = "Approve") -> httpx.Response:
    """Press a button of a link's page, without scripts."""
    form = Form(page(server, url).text)
    to = form.to(button) or url
    content = urlencode({**form.fields, **fields}, doseq=True)
    return server.http.post(to, content=content, headers={**BROWSER, **FORM_TYPE})


def is_paused(server: JupyterServer, run: Any) -> bool:
    return bool(server.get_run(run["id"])["status"] == "paused")


def text_of(html: str) -> str:
    """Return the text of a page, with single spaces."""
    body = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


# --- the page ---------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["resume_url", "cancel_url"])
def test_both_links_show_what_is_asked(server: JupyterServer, link: str) -> None:
    message = "'Buy *seven* crates?'"
    run = asking(server, f"message={message}, on_timeout='fail', on_reject='resume'")
    answer = page(server, run["pause"][link])
    assert answer.status_code == 200
    text = text_of(answer.text)
    for part in (
        "Order 7",
        "Workflow order, step ask",
        "Buy seven crates?",
        "Everyone who has this link",
        run["pause"]["deadline"][:10],
        "Without an answer by then, the workflow fails.",
        "After a rejection, the workflow continues.",
        "Note (optional)",
    ):
        assert part in text
    assert "<em>seven</em>" in answer.text
    form = Form(answer.text)
    own, other = ("Approve", "Reject") if link == "resume_url" else ("Reject", "Approve")
    assert form.to(own) is None
    to = form.to(other)
    assert to is not None
    other_link = {"resume_url": "cancel_url", "cancel_url": "resume_url"}[link]
    assert run["pause"][other_link] == f"{server.url}{to}"
    assert re.search(r"<button[^>]* formnovalidate>Reject</button>", answer.text)
    assert "data-acts" not in answer.text
    assert is_paused(server, run)


def test_a_pause_that_only_has_approvers_asks(server: JupyterServer) -> None:
    run = asking(server, 'approvers=["ada"]')
    assert "data-acts" not in page(server, run["pause"]["resume_url"]).text


@pytest.mark.parametrize(("method", "headers"), READERS)
def test_what_only_looks_decides_nothing(
    server: JupyterServer, method: str, headers: dict[str, str]
) -> None:
    run = asking(server, APPROVERS)
    for link in (*personal_links(server, run, "ada@example.org"), run["pause"]["cancel_url"]):
        server.http.request(method, link, headers=headers)
    assert server.get_run(run["id"])["pause"] == run["pause"]


def test_markup_is_text(server: JupyterServer) -> None:
    form = {
        "type": "object",
        "title": EVIL,
        "description": EVIL,
        "properties": {
            "a": {"type": "string", "title": EVIL, "description": EVIL, "default": EVIL},
            'b" autofocus onfocus="alert(1)': {"type": "string", "format": "textarea"},
            "c": {"enum": [EVIL, '"><script>alert(1)</script>']},
        },
    }
    run = asking(server, f"message={EVIL!r}, form={form!r}", EVIL)
    url = run["pause"]["resume_url"]
    name = 'b" autofocus onfocus="alert(1)'
    with_query = str(httpx.URL(url, params={name: EVIL, "note": EVIL}))
    for answer in (
        page(server, with_query),
        press(server, with_query, {name: EVIL, "c": EVIL * 2}),
    ):
        assert answer.text.count("<script") == answer.text.count("</script>") == 1
        assert "<img" not in answer.text
        assert 'href="javascript' not in answer.text
        assert 'onfocus="' not in answer.text
    assert is_paused(server, run)


def test_a_page_has_its_own_script_and_style_only(server: JupyterServer) -> None:
    run = asking(server, "message='Go?'")
    answer = page(server, run["pause"]["resume_url"])
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert answer.text.count(f'nonce="{nonce[1]}"') == 2
    assert not re.search(r"\son\w+=|\sstyle=", answer.text)


# --- answers ------------------------------------------------------------------------------


def test_the_query_fills_in_the_form(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}")
    url = f"{run['pause']['resume_url']}?count=3&kind=large&tags=a&tags=c&urgent=no&why=x&note=hi"
    form = Form(page(server, url).text).html
    assert re.search(r'name="count" value="3"', form)
    assert re.search(r'<option value="large" selected>', form)
    assert re.findall(r'name="tags" value="(.)" checked', form) == ["a", "c"]
    assert not re.search(r'name="urgent" value="true" checked', form)
    assert re.search(r'name="why"[^>]*>\nx</textarea>', form)
    assert re.search(r'name="note"[^>]*>\nhi</textarea>', form)


def test_defaults_are_filled_in(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}")
    form = Form(page(server, run["pause"]["resume_url"]).text).html
    assert re.search(r'<option value="small" selected>', form)
    assert re.search(r'name="urgent" value="true" checked', form)


def test_the_answer_has_exactly_the_fields_of_the_form(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}")
    url = f"{run['pause']['resume_url']}?urgent=yes&utm=x"
    fields = {"count": " 4 ", "kind": "", "why": "", "tags": "b", "note": "as agreed", "more": "x"}
    answer = press(server, url, fields)
    assert answer.status_code == 200
    assert "<h1>Approved</h1>" in answer.text
    # A box that is not ticked is false, whatever the link's query and the default say.
    assert answer_body(server, run) == {"count": 4, "kind": "small", "tags": ["b"], "urgent": False}
    decision = exports(server, run)["$decision"]
    assert decision["by"][0]["note"] == "as agreed"
    assert decision["outcome"] == "resumed"


def test_a_form_may_be_sent_empty(server: JupyterServer) -> None:
    form = {"type": "object", "properties": {"go": {"type": "boolean"}}, "required": ["go"]}
    run = asking(server, f"form={form!r}")
    assert press(server, f"{run['pause']['resume_url']}?go=true", {}).status_code == 200
    assert answer_body(server, run) == {"go": False}


@pytest.mark.parametrize("script", [False, True])
def test_fields_may_have_the_names_that_pages_use(server: JupyterServer, script: bool) -> None:
    names = ["note", "json", "decision", "step", "action", "run_id"]
    form = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    run = asking(server, f"form={form!r}")
    url = run["pause"]["resume_url"]
    values = dict.fromkeys(names, '{"a": 1}')
    assert Form(page(server, url).text).html.count('name="note"') == 1
    if script:
        assert server.http.post(url, data=values, headers=BY_SCRIPT).status_code == 200
    else:
        assert press(server, url, values).status_code == 200
    assert answer_body(server, run) == values
    assert exports(server, run)["$decision"]["by"][0]["note"] is None


NOTE_FORM = {"type": "object", "properties": {"note": {"type": "string"}}}


@pytest.mark.parametrize("way", ["program", "query", "page", "script"])
def test_an_answer_is_no_note(server: JupyterServer, way: str) -> None:
    run = asking(server, f"form={NOTE_FORM!r}")
    url = run["pause"]["resume_url"]
    fields = {"note": "the answer"}
    sent = {
        "program": lambda: server.http.post(url, json=fields),
        "query": lambda: server.http.get(url, params=fields),
        "page": lambda: press(server, url, fields),
        "script": lambda: server.http.post(url, data=fields, headers=BY_SCRIPT),
    }[way]()
    assert sent.status_code == 200
    assert answer_body(server, run) == fields
    assert exports(server, run)["$decision"]["by"][0]["note"] is None
    assert "the answer" not in server.api("GET", f"/runs/{run['id']}/history").text


def test_what_was_typed_before_a_reject_is_no_note(server: JupyterServer) -> None:
    run = asking(server, f"form={NOTE_FORM!r}")
    url = run["pause"]["resume_url"]
    assert press(server, url, {"note": "the answer"}, "Reject").status_code == 200
    (decision,) = server.get_run(run["id"])["decisions"]
    assert (decision["outcome"], decision["by"][0]["note"]) == ("rejected", None)


@pytest.mark.parametrize("script", [False, True])
def test_an_invalid_answer_is_shown_again(server: JupyterServer, script: bool) -> None:
    run = asking(server, f"form={FORM!r}")
    url = run["pause"]["resume_url"]
    fields = {"count": "10", "kind": "medium", "why": "no", "tags": "c", "note": "so <b>far</b>"}
    if script:
        answer = server.http.post(url, data=fields, headers=BY_SCRIPT)
    else:
        answer = press(server, url, fields)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("text/html")
    wrong = invalid_fields(answer.text)
    assert set(wrong) == {"count", "kind", "why"}
    assert wrong["count"] == "Must be at most 9."
    form = Form(answer.text).html
    assert re.search(r'name="count" value="10"', form)
    assert re.search(r'name="why"[^>]*>\nno</textarea>', form)
    assert re.search(r'name="note"[^>]*>\nso &lt;b&gt;far&lt;/b&gt;</textarea>', form)
    assert re.findall(r'name="tags" value="(.)" checked', form) == ["c"]
    assert not re.search(r'name="urgent" value="true" checked', form)
    assert form.count(" autofocus") == (0 if script else 1)
    assert is_paused(server, run)
    assert press(server, url, {"count": "9"}).status_code == 200
    assert answer_body(server, run)["count"] == 9


def test_a_program_gets_errors_as_json(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}")
    url = run["pause"]["resume_url"]
    answer = server.http.post(url, json={"count": 10})
    assert answer.status_code == 422
    assert answer.json()["reason"] == "invalid_answer"
    assert answer.json()["errors"] == [{"field": "count", "message": "Must be at most 9."}]
    assert is_paused(server, run)
    assert server.http.post(url, json={"count": 2, "note": "by robot"}).status_code == 200
    assert answer_body(server, run) == {"count": 2, "kind": "small", "urgent": True}
    assert exports(server, run)["$decision"]["by"][0]["note"] == "by robot"


def test_a_program_may_answer_by_the_query(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}")
    answer = server.http.get(f"{run['pause']['resume_url']}?count=2&note=fine&utm=x")
    assert answer.status_code == 200
    assert answer_body(server, run) == {"count": 2, "kind": "small", "urgent": True}
    assert exports(server, run)["$decision"]["by"][0]["note"] == "fine"


def test_a_rejection_needs_no_valid_answer(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}")
    answer = press(server, run["pause"]["resume_url"], {"count": "x", "note": "too many"}, "Reject")
    assert answer.status_code == 200
    assert "<h1>Rejected</h1>" in answer.text
    assert "Workflow “order” ends at step “ask”." in answer.text
    ended = server.wait_run(run["id"], "canceled")
    assert ended["decisions"][0]["outcome"] == "rejected"
    assert ended["decisions"][0]["by"][0]["note"] == "too many"


def test_what_was_typed_is_no_answer_of_a_rejection(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}, on_reject='resume'")
    answer = press(server, run["pause"]["cancel_url"], {"count": "x", "note": "no"}, "Reject")
    assert "Workflow “order” continues after step “ask”." in answer.text
    assert answer_body(server, run) is None
    assert exports(server, run)["$decision"]["outcome"] == "rejected"


def test_values_of_the_link_are_sent_where_there_is_no_form(server: JupyterServer) -> None:
    run = asking(server, "message='Which one?'")
    url = f"{run['pause']['resume_url']}?choice=left"
    html = page(server, url).text
    assert "<dt>choice:</dt><dd>left</dd>" in html
    assert press(server, url, {"note": ""}, "Send “left”").status_code == 200
    assert answer_body(server, run) == {"choice": "left"}


# --- approvers ----------------------------------------------------------------------------


def test_the_two_links_of_a_pause_with_approvers_decide_nothing(server: JupyterServer) -> None:
    run = asking(server, f"message='Pay?', {APPROVERS}")
    # Link routes never look at cookies: ada is signed in, and may decide elsewhere.
    with server.client(cookies=cookie("ada")) as ada:
        for url in (run["pause"]["resume_url"], run["pause"]["cancel_url"]):
            answer = ada.post(url, json={})
            assert (answer.status_code, answer.json()["reason"]) == (403, "approvers_only")
            shown = [ada.get(url, headers=BROWSER), ada.post(url, headers=BROWSER)]
            assert [each.status_code for each in shown] == [200, 403]
            for each in shown:
                text = text_of(each.text)
                assert "Only ada, bob@example.org or the group finance can decide this." in text
                assert "2 of them have to approve" in text
                assert "Pay?" in text
                assert 'href="/pdflow/inbox"' in each.text
                assert "<form" not in each.text
                assert "<button" not in each.text
    assert server.get_run(run["id"])["pause"] == run["pause"]


def test_each_approver_counts_once(server: JupyterServer) -> None:
    run = asking(server, f"message='Pay?', {APPROVERS}")
    ada, _ = personal_links(server, run, "ada@example.org")
    bob, _ = personal_links(server, run, "bob@example.org")
    assert "for ada@example.org" in text_of(page(server, ada).text)

    answer = press(server, ada, {"note": "fine with me"})
    assert answer.status_code == 200
    assert "<h1>Counted</h1>" in answer.text
    assert "Your approval is counted; one more has to approve." in answer.text

    again = page(server, ada)
    assert again.status_code == 410
    assert "You have approved this already; one more has to approve." in text_of(again.text)
    assert "<form" not in again.text
    assert server.http.post(ada, headers=BROWSER).status_code == 410
    program = server.http.post(ada)
    assert (program.status_code, program.json()["reason"]) == (410, "already_answered")

    shown = text_of(page(server, bob).text)
    assert re.search(r"Approved so far ada@example\.org , 20\S+ \S+ UTC fine with me", shown)

    decided = press(server, bob, {})
    assert "Approved by ada@example.org and bob@example.org." in text_of(decided.text)
    assert "Workflow “order” continues from step “ask”." in decided.text
    late = page(server, ada)
    assert late.status_code == 410
    text = text_of(late.text)
    assert "was already approved by ada@example.org and bob@example.org." in text
    assert "fine with me" in text
    by = exports(server, run)["$decision"]["by"]
    assert [(each["name"], each["via"], each["verified"]) for each in by] == [
        ("ada@example.org", "link", False),
        ("bob@example.org", "link", False),
    ]


def test_a_program_is_told_that_its_approval_counts(server: JupyterServer) -> None:
    run = asking(server, APPROVERS)
    ada, _ = personal_links(server, run, "ada@example.org")
    answer = server.http.post(ada)
    assert (answer.status_code, answer.json()) == (200, {"status": "counted", "missing": 1})


def test_one_rejection_decides(server: JupyterServer) -> None:
    run = asking(server, f"message='Pay?', {APPROVERS}")
    ada, _ = personal_links(server, run, "ada@example.org")
    answer = press(server, ada, {"note": "too expensive"}, "Reject")
    assert "Rejected by ada@example.org." in text_of(answer.text)
    bob, _ = personal_links(server, run, "bob@example.org")
    text = text_of(page(server, bob).text)
    assert "Already rejected" in text
    assert "was already rejected by ada@example.org." in text
    assert "too expensive" in text


def test_an_invalid_answer_of_an_approver_does_not_count(server: JupyterServer) -> None:
    run = asking(server, f"form={FORM!r}, {APPROVERS}")
    ada, _ = personal_links(server, run, "ada@example.org")
    answer = press(server, ada, {"count": "0"})
    assert answer.status_code == 422
    assert invalid_fields(answer.text) == {"count": "Must be at least 1."}
    assert "for ada@example.org" in answer.text
    assert server.get_run(run["id"])["pause"] == run["pause"]


# --- a pause that asks nothing ----------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "button", "shown"),
    [
        ("", "Resume the workflow", {}),
        ("?note=hi", "Resume the workflow", {}),
        ("?decision=reject", "Send “reject”", {"decision": "reject"}),
        ("?decision=reject&note=hi", "Send “reject”", {"decision": "reject"}),
        ("?decision=reject&drop=7", "Send these values", {"decision": "reject", "drop": "7"}),
        (f"?a={'x' * 31}", "Send these values", {"a": "x" * 31}),
        (f"?a={'x' * 1000}", "Send these values", {"a": "x" * 199 + "…"}),
        ("?a=", "Send these values", {"a": ""}),
        ("?a=%0A", "Send these values", {"a": "\n"}),
        ("?a=<b>", "Send “&lt;b&gt;”", {"a": "&lt;b&gt;"}),
    ],
)
def test_a_button_says_what_it_sends(
    server: JupyterServer, query: str, button: str, shown: dict[str, str]
) -> None:
    run = asking(server, "")
    url = run["pause"]["resume_url"] + query
    html = page(server, url).text
    assert "data-acts" in html
    assert f">{button}</button>" in html
    assert dict(re.findall(r"<dt>([^<]*):</dt><dd>([^<]*)</dd>", html)) == shown
    canceling = page(server, run["pause"]["cancel_url"] + query).text
    assert ">Cancel the workflow</button>" in canceling
    result = server.http.post(url, headers=BROWSER)
    assert "<h1>Resumed</h1>" in result.text
    assert dict(re.findall(r"<dt>([^<]*):</dt><dd>([^<]*)</dd>", result.text)) == shown


def test_many_values_are_not_all_shown(server: JupyterServer) -> None:
    run = asking(server, "")
    query = "&".join(f"name{number}={number}" for number in range(25))
    html = page(server, f"{run['pause']['resume_url']}?{query}").text
    assert html.count("<dt>") == 10
    assert "… and 15 more." in html
    assert html.count('type="hidden"') == 25
