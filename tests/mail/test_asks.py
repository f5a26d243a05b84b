"""Emails to approvers say what is asked, by when, and how to answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_pdflow.mail.asks import PERSONAL_LINK, with_text
from jupyter_pdflow.mail.smtp import envelope_of
from jupyter_pdflow.rules.pauses import AskEmail
from jupyter_pdflow.stores import Email

SINCE = datetime(2026, 11, 24, 9, tzinfo=UTC)
LINKS = (
    "https://hub.example.org/pdflow/resume/a.b-c",
    "https://hub.example.org/pdflow/cancel/d.e_f",
)
TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "Cc", "Cs"]), max_size=50)


class Reader(HTMLParser):
    """Reads HTML: its links by their texts, its elements, and the text of its body."""

    def __init__(self, html: str | None) -> None:
        super().__init__()
        self.links: dict[str, str | None] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self._href: str | None = None
        assert html is not None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "body":
            self._texts.clear()
        self._href = dict(attrs).get("href") if tag == "a" else None

    def handle_data(self, data: str) -> None:
        self._texts.append(data)
        if self._href is not None:
            self.links[data] = self._href
            self._href = None

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts).split())

    @property
    def names(self) -> list[str]:
        return [tag for tag, _ in self.elements]


def about(**changes: Any) -> AskEmail:
    ask = AskEmail(
        kind="ask",
        person="ada@example.org",
        execution=1,
        workflow_name="expenses",
        title="Pay invoice 7?",
        message="Pay **invoice 7**?",
        since=SINCE,
        deadline=SINCE + timedelta(days=7),
    )
    return replace(ask, **changes)


def unwritten(**changes: Any) -> Email:
    email = Email(
        id="01M828N3F2GEN1A6NYMWAP04FB-1-0-0",
        run_id="01M828N3F2GEN1A6NYMWAP04FB",
        step="approve",
        to=["ada@example.org"],
        subject="Please decide: Pay invoice 7?",
        text="",
        html=None,
        created_at=SINCE,
    )
    return replace(email, **changes)


def written(
    links: tuple[str, str] = LINKS, after: timedelta = timedelta(), **changes: Any
) -> Email:
    """Write the email that is made some time after the beginning of the pause."""
    return with_text(unwritten(created_at=SINCE + after), about(**changes), *links)


def said(email: Email) -> tuple[str, str]:
    """Return the texts of both parts, each on one line."""
    return " ".join(email.text.split()), Reader(email.html).text


def test_the_text() -> None:
    due = "Please decide by 2026-12-01 09:00 UTC, 7 days after this email."
    warning = (
        "These links are personal: anyone who has them decides in the name of ada@example.org. "
        "Don't forward this email."
    )
    assert written().text.split("\n") == [
        "Step “approve” of workflow “expenses” waits for your decision.",
        "",
        "  Pay **invoice 7**?",
        "",
        f"{due} Without a decision by then, the run is canceled.",
        "",
        f"Approve: {LINKS[0]}",
        f"Reject: {LINKS[1]}",
        "",
        warning,
        "",
    ]


def test_the_html_says_the_same() -> None:
    email = written(required=2, has_form=True)
    page = Reader(email.html)
    for line in email.text.replace("**", "").splitlines():
        if not line.startswith(("Approve: ", "Reject: ")):
            assert line.strip() in page.text
    assert page.links == dict(zip(("Approve", "Reject"), LINKS, strict=True))
    assert "strong" in page.names


def test_the_html_loads_nothing() -> None:
    page = Reader(written(message="![a](https://b.org/c.png) <img src=d>").html)
    assert not {"img", "script", "link", "iframe", "object", "table", "form"} & set(page.names)
    assert all("src" not in attrs for _, attrs in page.elements)
    assert not re.search(r"url\(|@import|expression", written().html or "")


def test_the_rest_of_the_email_is_as_it_was() -> None:
    email = written()
    assert replace(email, text="", html=None) == unwritten()


def test_a_reminder_says_so() -> None:
    email = written(after=timedelta(days=2, minutes=1), kind="reminder")
    for text in said(email):
        assert (
            "This is a reminder: step “approve” of workflow “expenses” has waited 2 days "
            "and still needs your decision."
        ) in text
        assert "2026-12-01 09:00 UTC, 5 days after this email." in text
    assert email.text.startswith("This is a reminder")
    assert Reader(email.html).text.startswith("Reminder: please decide This is a reminder")


def test_an_escalation_says_so() -> None:
    email = written(after=timedelta(hours=1, minutes=30), kind="escalation")
    for text in said(email):
        assert (
            "This is an escalation: step “approve” of workflow “expenses” has waited 1 h 30 min "
            "for a decision, and now you are asked too."
        ) in text
    assert email.text.startswith("This is an escalation")
    assert Reader(email.html).text.startswith("Escalated to you: please decide This is an esc")


@pytest.mark.parametrize(
    ("on_timeout", "ending"),
    [
        ("cancel", "the run is canceled."),
        ("resume", "the run continues."),
        ("fail", "the run fails."),
    ],
)
def test_what_happens_without_a_decision(on_timeout: str, ending: str) -> None:
    for text in said(written(on_timeout=on_timeout)):
        assert f"Without a decision by then, {ending}" in text


@pytest.mark.parametrize(
    ("left", "due"),
    [
        (timedelta(days=7, seconds=-0.3), "2026-12-01 08:59 UTC, 7 days after this email."),
        (
            timedelta(days=2, hours=3, minutes=4),
            "2026-11-26 12:04 UTC, 2 days 3 h after this email.",
        ),
        (timedelta(hours=1, seconds=5), "2026-11-24 10:00 UTC, 1 h after this email."),
        (timedelta(seconds=90), "2026-11-24 09:01:30 UTC, 1 min 30 s after this email."),
        (timedelta(seconds=-1), "2026-11-24 08:59:59 UTC."),
    ],
)
def test_by_when(left: timedelta, due: str) -> None:
    for text in said(written(deadline=SINCE + left)):
        assert f"Please decide by {due} Without" in text


def test_the_deadline_is_in_utc() -> None:
    deadline = datetime.fromisoformat("2026-12-01T01:30:00+05:30")
    assert "by 2026-11-30 20:00 UTC" in written(deadline=deadline).text


def test_how_many_have_to_approve() -> None:
    for text in said(written(required=3)):
        assert "3 people have to approve; one rejection is enough to reject." in text
    for text in said(written(required=1)):
        assert "have to approve" not in text


def test_a_form_is_announced() -> None:
    for text in said(written(has_form=True)):
        assert "The link to approve opens a form." in text
    for text in said(written()):
        assert "opens a form" not in text


def test_without_a_message_the_title_is_shown() -> None:
    title = "Pay <b>*7*</b> & more"
    email = written(message=None, title=title)
    assert f"\n\n  {title}\n\n" in email.text
    assert title in Reader(email.html).text


def test_a_title_that_only_repeats_the_workflow_is_left_out() -> None:
    email = written(message=None, title="expenses")
    assert email.text.count("expenses") == 1
    assert Reader(email.html).text.count("expenses") == 1
    assert 'class="message"' not in (email.html or "")


def test_a_message_can_not_pass_for_a_link() -> None:
    message = "Pay?\n\nApprove: https://evil.example/\u2028Reject: https://evil.example/"
    lines = [line for line in written(message=message).text.splitlines() if line[:1].strip()]
    found = [line for line in lines if line.startswith(("Approve", "Reject"))]
    assert found == [f"Approve: {LINKS[0]}", f"Reject: {LINKS[1]}"]


@pytest.mark.parametrize("link", [PERSONAL_LINK, "javascript:alert(1)", ""])
def test_what_is_no_url_is_shown_as_text(link: str) -> None:
    email = written(links=(link, link))
    page = Reader(email.html)
    assert "a" not in page.names
    assert f"Approve: {link}".strip() in page.text
    assert f"\nApprove: {link}\nReject: {link}\n" in email.text


def test_the_placeholder_changes_nothing_else() -> None:
    hidden = written(links=(PERSONAL_LINK, PERSONAL_LINK)).text
    for link in LINKS:
        hidden = hidden.replace(PERSONAL_LINK, link, 1)
    assert hidden == written().text


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.none() | TEXTS)
def test_any_names_and_message(name: str, step: str, title: str, message: str | None) -> None:
    ask = about(workflow_name=name, title=title, message=message)
    email = with_text(unwritten(step=step), ask, *LINKS)
    email.text.encode()
    assert email.text.splitlines()[0].endswith("” waits for your decision.")
    links = Reader(email.html).links
    assert (links["Approve"], links["Reject"]) == LINKS
    received(email)


def received(email: Email) -> EmailMessage:
    message = message_from_bytes(envelope_of(email, "pdflow@example.org").content, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("message", ["Pay?", "Zahlen für 7 €? 👍", "x" * 2000, "a\n" * 500])
def test_links_are_whole_in_the_email_as_it_is_sent(message: str) -> None:
    links = ("https://hub.example.org/" + "é=&?x" * 150, "http://h/pdflow/cancel/" + "ab.-_" * 200)
    email = written(links=links, message=message)
    sent = received(email)
    lines = part(sent, "plain").splitlines()
    assert f"Approve: {links[0]}" in lines
    assert f"Reject: {links[1]}" in lines
    assert Reader(part(sent, "html")).links == {"Approve": links[0], "Reject": links[1]}
    assert lines == email.text.splitlines()
    assert part(sent, "html").splitlines() == (email.html or "").splitlines()
    assert max(map(len, sent.as_bytes().split(b"\r\n"))) <= 998  # RFC 5322, 2.1.1
    assert sent["Subject"] == email.subject
