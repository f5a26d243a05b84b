"""Emails are stored once, delivered by SMTP or kept as files, and listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.exceptions import NotFoundError, UndeliverableError
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.mail.smtp import ERROR_LIMIT, SMTPTransport, envelope_of
from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import Email
from tests.engine.support import Inbox, smtp_server, until

FLAWS: list[dict[str, Any]] = [
    {"to": ["bob@"]},
    {"to": [".@"]},
    {"to": [" :@"]},
    {"to": ["a,<@"]},
    {"to": ["team: a@example.org, b@example.org;"]},
    {"to": ["a@example.org", "a@example.org\r\nBcc: b@example.org"]},
    {"to": ["x" * 400 + "@example.org"]},
    {"to": ["a\0@example.org"]},
    {"subject": "a\r\nBcc: b@example.org"},
]
ADDRESSES = st.one_of(
    st.sampled_from(["a@example.org", "ü@b.org", '"a b"@c.org', "bob@"]),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda name: f"{name} <a@b.org>"),
    st.text('ab@.<>",:; ü'),
)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def smtp(inbox: Inbox) -> Iterator[Controller]:
    controller = smtp_server(inbox)
    controller.start()
    yield controller
    controller.stop()


def url(smtp: Controller) -> str:
    return f"smtp://127.0.0.1:{smtp.port}"


async def open_outbox(
    data_dir: Path,
    transport: SMTPTransport | None,
    clock=utc_now,
    mail_to=("owner@example.org",),
    limits=LIMITS,
):  # type: ignore[no-untyped-def]
    outbox = Outbox(
        data_dir,
        transport,
        mail_from="flows@example.org",
        mail_to=list(mail_to),
        clock=clock,
        limits=limits,
    )
    await outbox.open()
    return outbox


@pytest.fixture
async def outbox(
    tmp_path: Path, smtp: Controller, request: pytest.FixtureRequest
) -> AsyncIterator[Outbox]:
    limits = getattr(request, "param", LIMITS)
    outbox = await open_outbox(tmp_path, SMTPTransport.at(url(smtp)), limits=limits)
    yield outbox
    await outbox.close()


def email(email_id: str = "r-1-0-0", **mail: object) -> OutboxMessage:
    mail = {"subject": "Please approve", "text": "Yes: https://x/y", **mail}
    return OutboxMessage(
        id=email_id, run_id="r", step="a", created_at=datetime.now(UTC), email=EmailRequest(**mail)
    )


def status(outbox: Outbox, email_id: str = "r-1-0-0") -> str:
    return outbox.email(email_id).status


async def test_delivered_to_the_owner_by_default(outbox: Outbox, inbox: Inbox) -> None:
    await outbox.accept([email(html="<b>Yes</b>")])
    await until(lambda: status(outbox) == "sent")
    message = inbox.emails[0]
    assert (message["To"], message["From"]) == ("owner@example.org", "flows@example.org")
    assert message["Subject"] == "Please approve"
    assert message["Message-ID"] == "<r-1-0-0@jupyter-pdflow>"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert text.get_content().strip() == "Yes: https://x/y"
    assert html is not None
    assert html.get_content().strip() == "<b>Yes</b>"


async def test_delivered_to_the_recipients_that_the_step_names(
    outbox: Outbox, inbox: Inbox
) -> None:
    await outbox.accept([email(to=["a@example.org", "Bé <b@example.org>"], subject="Ünïcode …")])
    await until(lambda: status(outbox) == "sent")
    assert inbox.envelopes == [("flows@example.org", ["a@example.org", "b@example.org"])]
    assert inbox.emails[0]["Subject"] == "Ünïcode …"


async def test_forms_of_addresses(outbox: Outbox, inbox: Inbox) -> None:
    to = {
        "Doe, J <a@example.org>": "a@example.org",
        '"Bé, \\"Dr.\\"" <b@exämple.org>': "b@xn--exmple-cua.org",
        '"a b"@example.org': '"a b"@example.org',
        '"c@example.org>,<d"@example.org': '"c@example.org>,<d"@example.org',
        "ü@example.org": "ü@example.org",
        "root@localhost": "root@localhost",
        "A again <a@example.org>": None,
    }
    await outbox.accept([email(to=list(to))])
    await until(lambda: status(outbox) == "sent")
    assert inbox.envelopes[0][1] == [address for address in to.values() if address]
    shown = [address.display_name for address in inbox.emails[0]["To"].addresses]
    names = [name.encode("utf-8", "surrogateescape").decode() for name in shown]  # raw UTF-8
    assert names == ["Doe, J", 'Bé, "Dr."', "", "", "", "", "A again"]


async def test_many_recipients(outbox: Outbox, inbox: Inbox) -> None:
    to = [f"Müller {number}, Dr. <p{number}@example.org>" for number in range(1_000)]
    await outbox.accept([email(to=to)])
    await until(lambda: status(outbox) == "sent")
    assert inbox.envelopes[0][1] == [f"p{number}@example.org" for number in range(1_000)]


@pytest.mark.parametrize(
    "transport", [SMTPTransport.at("smtp://127.0.0.1:9"), None], ids=["smtp", "kept"]
)
@pytest.mark.parametrize("flaw", FLAWS, ids=ascii)
async def test_an_email_that_can_not_be_written_fails_and_others_are_delivered(
    tmp_path: Path, transport: SMTPTransport | None, flaw: dict[str, Any]
) -> None:
    outbox = await open_outbox(tmp_path, transport)
    await outbox.accept([email(**flaw), email("r-1-0-1")])
    await until(lambda: status(outbox) == "failed")
    assert status(outbox, "r-1-0-1") == ("kept" if transport is None else "queued")
    error = outbox.email("r-1-0-0").error or ""
    assert error.startswith("It can't be written as an email: ")
    await until(lambda: not (tmp_path / "mail" / "queued" / "r-1-0-0.json").exists())
    await outbox.close()


@pytest.mark.parametrize(
    "transport", [SMTPTransport.at("smtp://127.0.0.1:9"), None], ids=["smtp", "kept"]
)
async def test_a_queued_email_that_can_not_be_written_fails_after_a_start(
    tmp_path: Path, transport: SMTPTransport | None
) -> None:
    outbox = await open_outbox(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9"))
    await outbox.accept([email(), email("r-1-0-1", to=["c@example.org"])])
    await outbox.close()
    queued = tmp_path / "mail" / "queued"
    path = queued / "r-1-0-0.json"
    path.write_bytes(path.read_bytes().replace(b"owner@example.org", b"bob@"))
    (queued / "r-9-0-0.json").write_bytes(b"{")
    outbox = await open_outbox(tmp_path, transport)
    await until(lambda: status(outbox) == "failed")
    assert "'bob@' is not an email address" in (outbox.email("r-1-0-0").error or "")
    assert status(outbox, "r-1-0-1") == ("kept" if transport is None else "queued")
    await outbox.close()


async def test_the_error_names_refused_recipients(outbox: Outbox, inbox: Inbox) -> None:
    inbox.refusals = {"b@example.org": ["550 no such user"]}
    await outbox.accept([email(to=["a@example.org", "B <b@example.org>"])])
    await until(lambda: status(outbox) == "failed")
    assert outbox.email("r-1-0-0").error == (
        "The mail server refused it for b@example.org (550 no such user). "
        "The other recipients have it."
    )
    assert [to for _, to in inbox.envelopes] == [["a@example.org"]]


@pytest.mark.parametrize("outbox", [Limits(email_retry_seconds=0.02)], indirect=True)
async def test_only_recipients_that_were_refused_for_a_time_are_tried_again(
    outbox: Outbox, inbox: Inbox
) -> None:
    inbox.refusals = {
        "b@example.org": ["451 come back later", "451 come back later"],
        "c@example.org": ["550 no such user"],
    }
    await outbox.accept([email(to=["a@example.org", "b@example.org", "c@example.org"])])
    await until(lambda: status(outbox) == "failed")
    assert [to for _, to in inbox.envelopes] == [["a@example.org"], ["b@example.org"]]
    error = outbox.email("r-1-0-0").error or ""
    assert "for c@example.org (550 no such user)." in error
    assert "b@example.org" not in error


async def test_all_recipients_are_refused(outbox: Outbox, inbox: Inbox) -> None:
    inbox.refusals = {"owner@example.org": ["550 no such user"]}
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "failed")
    error = "The mail server refused it for owner@example.org (550 no such user)."
    assert outbox.email("r-1-0-0").error == error


async def test_a_server_without_smtputf8(tmp_path: Path, inbox: Inbox) -> None:
    controller = smtp_server(inbox, enable_SMTPUTF8=False)
    controller.start()
    outbox = await open_outbox(tmp_path, SMTPTransport.at(url(controller)))
    await outbox.accept([email(to=["ü@example.org"]), email("r-1-0-1", subject="ü")])
    await until(lambda: status(outbox) == "failed" and status(outbox, "r-1-0-1") == "sent")
    assert "SMTPUTF8" in (outbox.email("r-1-0-0").error or "")
    await outbox.close()
    controller.stop()


@pytest.mark.parametrize(
    "reply",
    [b"554 n\xe9 \xff\r\n", b"554 " + b"x" * 5_000 + b"\r\n", b"\0\0\r\n", b"\r\n", b""],
    ids=lambda reply: ascii(reply[:9]),
)
async def test_any_answer_of_a_server_is_stored(tmp_path: Path, reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            writer.write(b"250 OK\r\n" if line.startswith((b"EHLO", b"RSET", b"QUIT")) else reply)
            if not reply:
                break
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        outbox = await open_outbox(
            tmp_path, SMTPTransport.at(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        )
        await outbox.accept([email(), email("r-1-0-1")])
        await until(lambda: all(outbox.email(f"r-1-0-{n}").error for n in range(2)))
        found = outbox.email("r-1-0-0")
        assert found.status == ("failed" if reply.startswith(b"554") else "queued")
        assert len(found.error or "") <= ERROR_LIMIT
        await outbox.close()


@given(
    st.lists(ADDRESSES, max_size=5),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_message_has_what_the_email_asks_for(to: list[str], subject: str, text: str) -> None:
    requested = Email(
        id="r",
        run_id="r",
        step="a",
        to=to,
        subject=subject,
        text=text,
        html=None,
        created_at=datetime.now(UTC),
    )
    try:
        envelope = envelope_of(requested, "flows@example.org")
    except UndeliverableError:
        return
    mail = message_from_bytes(envelope.content, policy=SMTP)
    assert set(mail.keys()) <= {
        "Message-ID",
        "From",
        "To",
        "Subject",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    wanted = [check_address(address).addr_spec for address in to]
    assert envelope.recipients == list(dict.fromkeys(wanted))
    shown = mail["To"].addresses if to else []
    if not envelope.utf8:
        assert [address.addr_spec for address in shown] == wanted


async def test_an_email_without_a_valid_id_is_dropped(
    outbox: Outbox, inbox: Inbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await outbox.accept([email("../../pwn"), email("\0"), email("x" * 300), email()])
    await until(lambda: status(outbox) == "sent")
    assert len(inbox.emails) == 1
    assert caplog.text.count("has no valid id") == 3
    assert not list(tmp_path.parent.glob("pwn*"))


async def test_the_list_of_emails_is_bounded(tmp_path: Path) -> None:
    limits = Limits(emails_listed=5, emails_listed_bytes=1_000)
    outbox = await open_outbox(tmp_path, None, limits=limits)
    for number in range(4):
        await outbox.accept([email(f"r-1-0-{number}", text="x" * 900)])
    assert [found.id for found in await outbox.emails()] == ["r-1-0-3"]
    for number in range(4):
        await outbox.accept([email(f"r-2-0-{number}", text="x")])
    names = ["r-2-0-3", "r-2-0-2", "r-2-0-1", "r-2-0-0", "r-1-0-3"]
    assert [found.id for found in await outbox.emails()] == names
    again = await open_outbox(tmp_path, None, limits=limits)
    await again.accept([email("r-3-0-0", text="x")])
    assert [found.id for found in await again.emails()] == ["r-3-0-0", *names[:4]]
    await outbox.close()
    await again.close()


async def test_an_email_that_is_handed_over_twice_is_sent_once(
    outbox: Outbox, inbox: Inbox
) -> None:
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "sent")
    await outbox.accept([email(), email("r-1-0-1")])
    await until(lambda: status(outbox, "r-1-0-1") == "sent")
    assert len(inbox.emails) == 2


@pytest.mark.parametrize("outbox", [Limits(email_retry_seconds=0.02)], indirect=True)
async def test_delivery_is_tried_until_it_succeeds(outbox: Outbox, inbox: Inbox) -> None:
    inbox.replies = ["451 busy", "452 full"]
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "sent")
    found = outbox.email("r-1-0-0")
    assert (found.attempts, found.error) == (3, None)


async def test_a_permanent_refusal_is_final(outbox: Outbox, inbox: Inbox) -> None:
    inbox.replies = ["554 no spam please"]
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "failed")
    assert "no spam please" in (outbox.email("r-1-0-0").error or "")
    assert inbox.emails == []


async def test_an_email_without_a_recipient_fails(tmp_path: Path, smtp: Controller) -> None:
    outbox = await open_outbox(tmp_path, SMTPTransport.at(url(smtp)), mail_to=())
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "failed")
    assert "PDFlow.mail_to" in (outbox.email("r-1-0-0").error or "")
    await outbox.close()


async def test_a_queued_email_is_delivered_after_a_restart(
    tmp_path: Path, smtp: Controller, inbox: Inbox
) -> None:
    unreachable = await open_outbox(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9"))
    await unreachable.accept([email()])
    await until(lambda: unreachable.email("r-1-0-0").error is not None)
    assert status(unreachable) == "queued"
    await unreachable.close()
    outbox = await open_outbox(tmp_path, SMTPTransport.at(url(smtp)))
    await until(lambda: status(outbox) == "sent")
    assert len(inbox.emails) == 1
    await outbox.close()


async def test_a_queued_email_is_kept_as_a_file_once_no_server_is_configured(
    tmp_path: Path,
) -> None:
    unreachable = await open_outbox(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9"))
    await unreachable.accept([email()])
    await unreachable.close()
    outbox = await open_outbox(tmp_path, None)
    assert status(outbox) == "kept"
    assert (tmp_path / "mail" / "r-1-0-0.eml").exists()
    assert not list((tmp_path / "mail" / "queued").iterdir())
    await outbox.close()


@pytest.mark.parametrize("outbox", [Limits(storage_retry_seconds=0.01)], indirect=True)
async def test_a_delivered_email_is_not_sent_again_while_the_disk_is_full(
    outbox: Outbox, inbox: Inbox, tmp_path: Path
) -> None:
    done = tmp_path / "mail" / "done"
    done.rmdir()
    done.touch()  # nothing can be moved there
    await outbox.accept([email()])
    await until(lambda: inbox.emails)
    done.unlink()
    done.mkdir()
    await until((done / "r-1-0-0.json").exists)
    assert (status(outbox), len(inbox.emails)) == ("sent", 1)


async def test_a_damaged_file_does_not_hide_other_emails(
    outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "sent")
    (tmp_path / "mail" / "done" / "damaged.json").write_bytes(b"{")
    assert [found.id for found in await outbox.emails()] == ["r-1-0-0"]
    assert "damaged.json is not JSON" in caplog.text


async def test_delivery_is_given_up_after_three_days(tmp_path: Path) -> None:
    outbox = await open_outbox(
        tmp_path,
        SMTPTransport.at("smtp://127.0.0.1:9"),
        clock=lambda: utc_now() + timedelta(days=3.1),
    )
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "failed")
    await outbox.close()


async def test_login(tmp_path: Path, inbox: Inbox) -> None:
    controller = smtp_server(inbox, authenticator=inbox.authenticate, auth_require_tls=False)
    controller.start()
    outbox = await open_outbox(
        tmp_path, SMTPTransport.at(f"smtp://me%40x:p%2Fw@127.0.0.1:{controller.port}")
    )
    await outbox.accept([email()])
    await until(lambda: status(outbox) == "sent")
    assert inbox.login == (b"me@x", b"p/w")
    await outbox.close()
    controller.stop()


async def test_without_a_server_emails_are_kept_as_files(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path, None)
    await outbox.accept([email(text="Zeile 1\nZeile 2 …")])
    assert status(outbox) == "kept"
    content = (tmp_path / "mail" / "r-1-0-0.eml").read_bytes()
    body = message_from_bytes(content, policy=SMTP).get_body()
    assert body is not None
    assert body.get_content().splitlines() == ["Zeile 1", "Zeile 2 …"]
    await outbox.close()


async def test_emails_are_listed_newest_first(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path, None)
    for number in range(3):
        await outbox.accept([email(f"r-1-0-{number}")])
    assert [found.id for found in await outbox.emails()] == ["r-1-0-2", "r-1-0-1", "r-1-0-0"]
    assert isinstance(outbox.email("r-1-0-1"), Email)
    for unknown in ("nope", "../done/r-1-0-1", ""):
        with pytest.raises(NotFoundError):
            outbox.email(unknown)
    await outbox.close()


@pytest.mark.parametrize("bad", ["", "host", "http://host", "smtp://", "smtp://h:99999"])
def test_bad_smtp_url_does_not_repeat_a_password(bad: str) -> None:
    with pytest.raises(ValueError, match=r"smtp_url|[Pp]ort"):
        SMTPTransport.at(bad)
