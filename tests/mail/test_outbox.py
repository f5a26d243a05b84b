"""Emails are stored once, delivered by SMTP or kept as files, and listed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any, Self

import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.exceptions import NotFoundError, UndeliverableError
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.mail.smtp import ERROR_LIMIT, SMTPTransport, envelope_of
from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import Email
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.engine.support import Inbox, smtp_server
from tests.rules.support import no_links, workflow
from tests.waiting import until

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


class Mailing:
    """An outbox, and its store with a run whose steps ask for emails."""

    def __init__(
        self,
        data_dir: Path,
        transport: SMTPTransport | None,
        clock: Callable[[], datetime] = utc_now,
        mail_to: Sequence[str] = ("owner@example.org",),
        limits: Limits = LIMITS,
    ) -> None:
        self.store = TinyDBStore(data_dir, limits=limits)
        self.outbox = Outbox(
            self.store,
            transport,
            mail_from="flows@example.org",
            mail_to=list(mail_to),
            clock=clock,
            links_for=no_links,
            limits=limits,
        )

    async def __aenter__(self) -> Self:
        await self.store.open()
        self.outbox.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.outbox.close()
        await self.store.close()

    async def send(self, *emails: OutboxMessage) -> None:
        """Commit an outcome that asks for emails."""
        with suppress(NotFoundError):
            async with self.store.transaction("r") as transaction:
                attempt = transaction.run.attempt + 1
                run = replace(transaction.run, attempt=attempt, outbox=list(emails))
                await transaction.commit(run)
            self.outbox.wake()
            return
        run = new_run("r", workflow("a"), None, utc_now()).run
        await self.store.create(replace(run, outbox=list(emails)))
        self.outbox.wake()

    async def email(self, email_id: str = "r-1-0-0") -> Email:
        """Return an email, kept as a file if that was to be done."""
        await self.outbox.wait_kept()
        return await self.store.email(email_id)

    async def error(self, email_id: str = "r-1-0-0") -> str:
        """Wait until an attempt to send an email has failed, and return why."""
        async with asyncio.timeout(10):
            while (error := (await self.email(email_id)).error) is None:
                await asyncio.sleep(0.01)
        return error

    async def becomes(self, status: str, email_id: str = "r-1-0-0") -> Email:
        """Wait until an email has a status, and return it."""
        async with asyncio.timeout(10):
            while (email := await self.email(email_id)).status != status:
                await asyncio.sleep(0.01)
        return email


@pytest.fixture
async def mailing(
    tmp_path: Path, smtp: Controller, request: pytest.FixtureRequest
) -> AsyncIterator[Mailing]:
    limits = getattr(request, "param", LIMITS)
    async with Mailing(tmp_path, SMTPTransport.at(url(smtp)), limits=limits) as mailing:
        yield mailing


def email(email_id: str = "r-1-0-0", **mail: Any) -> OutboxMessage:
    mail = {"subject": "Please approve", "text": "Yes: https://x/y", **mail}
    return OutboxMessage(
        id=email_id, run_id="r", step="a", created_at=datetime.now(UTC), email=EmailRequest(**mail)
    )


async def test_delivered_to_the_owner_by_default(mailing: Mailing, inbox: Inbox) -> None:
    await mailing.send(email(html="<b>Yes</b>"))
    await mailing.becomes("sent")
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
    mailing: Mailing, inbox: Inbox
) -> None:
    await mailing.send(email(to=["a@example.org", "Bé <b@example.org>"], subject="Ünïcode …"))
    await mailing.becomes("sent")
    assert inbox.envelopes == [("flows@example.org", ["a@example.org", "b@example.org"])]
    assert inbox.emails[0]["Subject"] == "Ünïcode …"


async def test_forms_of_addresses(mailing: Mailing, inbox: Inbox) -> None:
    to = {
        "Doe, J <a@example.org>": "a@example.org",
        '"Bé, \\"Dr.\\"" <b@exämple.org>': "b@xn--exmple-cua.org",
        '"a b"@example.org': '"a b"@example.org',
        '"c@example.org>,<d"@example.org': '"c@example.org>,<d"@example.org',
        "ü@example.org": "ü@example.org",
        "root@localhost": "root@localhost",
        "A again <a@example.org>": None,
    }
    await mailing.send(email(to=list(to)))
    await mailing.becomes("sent")
    assert inbox.envelopes[0][1] == [address for address in to.values() if address]
    shown = [address.display_name for address in inbox.emails[0]["To"].addresses]
    names = [name.encode("utf-8", "surrogateescape").decode() for name in shown]  # raw UTF-8
    assert names == ["Doe, J", 'Bé, "Dr."', "", "", "", "", "A again"]


async def test_many_recipients(mailing: Mailing, inbox: Inbox) -> None:
    to = [f"Müller {number}, Dr. <p{number}@example.org>" for number in range(1_000)]
    await mailing.send(email(to=to))
    await mailing.becomes("sent")
    assert inbox.envelopes[0][1] == [f"p{number}@example.org" for number in range(1_000)]


@pytest.mark.parametrize(
    "transport", [SMTPTransport.at("smtp://127.0.0.1:9"), None], ids=["smtp", "kept"]
)
@pytest.mark.parametrize("flaw", FLAWS, ids=ascii)
async def test_an_email_that_can_not_be_written_fails_and_others_are_delivered(
    tmp_path: Path, transport: SMTPTransport | None, flaw: dict[str, Any]
) -> None:
    async with Mailing(tmp_path, transport) as mailing:
        await mailing.send(email(**flaw), email("r-1-0-1"))
        failed = await mailing.becomes("failed")
        assert (failed.error or "").startswith("It can't be written as an email: ")
        await mailing.becomes("kept" if transport is None else "queued", "r-1-0-1")
        await until(lambda: not (tmp_path / "mail" / "queued" / "r-1-0-0.json").exists())


@pytest.mark.parametrize(
    "transport", [SMTPTransport.at("smtp://127.0.0.1:9"), None], ids=["smtp", "kept"]
)
async def test_a_queued_email_that_can_not_be_written_fails_after_a_start(
    tmp_path: Path, transport: SMTPTransport | None
) -> None:
    async with Mailing(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9")) as mailing:
        await mailing.send(email(to=["b@example.org"]), email("r-1-0-1", to=["c@example.org"]))
    queued = tmp_path / "mail" / "queued"
    path = queued / "r-1-0-0.json"
    path.write_bytes(path.read_bytes().replace(b"b@example.org", b"bob@"))
    (queued / "r-9-0-0.json").write_bytes(b"{")
    async with Mailing(tmp_path, transport) as mailing:
        failed = await mailing.becomes("failed")
        assert "'bob@' is not an email address" in (failed.error or "")
        await mailing.becomes("kept" if transport is None else "queued", "r-1-0-1")


async def test_the_error_names_refused_recipients(mailing: Mailing, inbox: Inbox) -> None:
    inbox.refusals = {"b@example.org": ["550 no such user"]}
    await mailing.send(email(to=["a@example.org", "B <b@example.org>"]))
    await mailing.becomes("failed")
    assert await mailing.error() == (
        "The mail server refused it for b@example.org (550 no such user). "
        "The other recipients have it."
    )
    assert [to for _, to in inbox.envelopes] == [["a@example.org"]]


@pytest.mark.parametrize("mailing", [Limits(email_retry_seconds=0.02)], indirect=True)
async def test_only_recipients_that_were_refused_for_a_time_are_tried_again(
    mailing: Mailing, inbox: Inbox
) -> None:
    inbox.refusals = {
        "b@example.org": ["451 come back later", "451 come back later"],
        "c@example.org": ["550 no such user"],
    }
    await mailing.send(email(to=["a@example.org", "b@example.org", "c@example.org"]))
    await mailing.becomes("failed")
    assert [to for _, to in inbox.envelopes] == [["a@example.org"], ["b@example.org"]]
    error = await mailing.error()
    assert "for c@example.org (550 no such user)." in error
    assert "b@example.org" not in error


async def test_all_recipients_are_refused(mailing: Mailing, inbox: Inbox) -> None:
    inbox.refusals = {"owner@example.org": ["550 no such user"]}
    await mailing.send(email())
    await mailing.becomes("failed")
    error = "The mail server refused it for owner@example.org (550 no such user)."
    assert await mailing.error() == error


async def test_a_server_without_smtputf8(tmp_path: Path, inbox: Inbox) -> None:
    controller = smtp_server(inbox, enable_SMTPUTF8=False)
    controller.start()
    async with Mailing(tmp_path, SMTPTransport.at(url(controller))) as mailing:
        await mailing.send(email(to=["ü@example.org"]), email("r-1-0-1", subject="ü"))
        await mailing.becomes("failed")
        await mailing.becomes("sent", "r-1-0-1")
        assert "SMTPUTF8" in await mailing.error()
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
        port = server.sockets[0].getsockname()[1]
        async with Mailing(tmp_path, SMTPTransport.at(f"smtp://127.0.0.1:{port}")) as mailing:
            await mailing.send(email(), email("r-1-0-1"))
            for email_id in ("r-1-0-0", "r-1-0-1"):
                assert len(await mailing.error(email_id)) <= ERROR_LIMIT
            status = "failed" if reply.startswith(b"554") else "queued"
            assert (await mailing.email()).status == status


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


async def test_an_email_that_is_handed_over_twice_is_sent_once(
    mailing: Mailing, inbox: Inbox
) -> None:
    await mailing.send(email())
    await mailing.becomes("sent")
    await mailing.send(email(), email("r-1-0-1"))
    await mailing.becomes("sent", "r-1-0-1")
    assert len(inbox.emails) == 2


@pytest.mark.parametrize("mailing", [Limits(email_retry_seconds=0.02)], indirect=True)
async def test_delivery_is_tried_until_it_succeeds(mailing: Mailing, inbox: Inbox) -> None:
    inbox.replies = ["451 busy", "452 full"]
    await mailing.send(email())
    await mailing.becomes("sent")
    found = await mailing.email()
    assert (found.attempts, found.error) == (3, None)


async def test_a_permanent_refusal_is_final(mailing: Mailing, inbox: Inbox) -> None:
    inbox.replies = ["554 no spam please"]
    await mailing.send(email())
    await mailing.becomes("failed")
    assert "no spam please" in await mailing.error()
    assert inbox.emails == []


async def test_an_email_without_a_recipient_fails(tmp_path: Path, smtp: Controller) -> None:
    async with Mailing(tmp_path, SMTPTransport.at(url(smtp)), mail_to=()) as mailing:
        await mailing.send(email())
        failed = await mailing.becomes("failed")
        assert "PDFlow.mail_to" in (failed.error or "")


async def test_a_queued_email_is_delivered_after_a_restart(
    tmp_path: Path, smtp: Controller, inbox: Inbox
) -> None:
    async with Mailing(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9")) as mailing:
        await mailing.send(email())
        assert await mailing.error()
        assert (await mailing.email()).status == "queued"
    async with Mailing(tmp_path, SMTPTransport.at(url(smtp))) as mailing:
        await mailing.becomes("sent")
        assert len(inbox.emails) == 1


async def test_a_queued_email_is_kept_as_a_file_once_no_server_is_configured(
    tmp_path: Path,
) -> None:
    async with Mailing(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9")) as mailing:
        await mailing.send(email())
    async with Mailing(tmp_path, None) as mailing:
        assert (await mailing.email()).status == "kept"
        assert (tmp_path / "mail" / "r-1-0-0.eml").exists()
        assert not os.listdir(tmp_path / "mail" / "queued")


@pytest.mark.parametrize("mailing", [Limits(storage_retry_seconds=0.01)], indirect=True)
async def test_a_delivered_email_is_not_sent_again_while_the_disk_is_full(
    mailing: Mailing, inbox: Inbox, tmp_path: Path
) -> None:
    done = tmp_path / "mail" / "done"
    done.rmdir()
    done.touch()  # nothing can be stored there
    await mailing.send(email())
    await until(lambda: inbox.emails)
    await asyncio.sleep(0.1)
    assert (await mailing.email()).status == "queued"
    done.unlink()
    done.mkdir()
    await until((done / "r-1-0-0.json").exists)
    await mailing.becomes("sent")
    assert len(inbox.emails) == 1


async def test_a_message_that_can_not_be_kept_is_kept_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mail" / "r-1-0-0.eml"
    async with Mailing(tmp_path, None, limits=Limits(storage_retry_seconds=0.02)) as mailing:
        path.mkdir(parents=True)
        await mailing.send(email())
        await until(lambda: "can't be used" in caplog.text)
        assert (await mailing.email()).status == "queued"
        path.rmdir()
        kept = await mailing.becomes("kept")
        assert kept.error is None
        assert path.is_file()


async def test_a_deleted_run_has_no_email_left(tmp_path: Path, inbox: Inbox) -> None:
    async with Mailing(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9")) as mailing:
        await mailing.send(email())
        assert await mailing.error()
        async with mailing.store.transaction("r") as transaction:
            run = apply(transaction.run, Cancel(by="api"), utc_now()).run
            await transaction.commit(run)
        assert await mailing.store.delete(["r"]) == {}
        with pytest.raises(NotFoundError):
            await mailing.email()
        assert await mailing.store.next_email_at() is None


async def test_delivery_is_given_up_after_three_days(tmp_path: Path) -> None:
    def late() -> datetime:
        return utc_now() + timedelta(days=3.1)

    async with Mailing(tmp_path, SMTPTransport.at("smtp://127.0.0.1:9"), clock=late) as mailing:
        await mailing.send(email())
        await mailing.becomes("failed")


async def test_login(tmp_path: Path, inbox: Inbox) -> None:
    controller = smtp_server(inbox, authenticator=inbox.authenticate, auth_require_tls=False)
    controller.start()
    login = SMTPTransport.at(f"smtp://me%40x:p%2Fw@127.0.0.1:{controller.port}")
    async with Mailing(tmp_path, login) as mailing:
        await mailing.send(email())
        await mailing.becomes("sent")
        assert inbox.login == (b"me@x", b"p/w")
    controller.stop()


async def test_without_a_server_emails_are_kept_as_files(tmp_path: Path) -> None:
    async with Mailing(tmp_path, None) as mailing:
        await mailing.send(email(text="Zeile 1\nZeile 2 …"))
        kept = await mailing.email()
        assert (kept.status, kept.to) == ("kept", ["owner@example.org"])
        content = (tmp_path / "mail" / "r-1-0-0.eml").read_bytes()
        body = message_from_bytes(content, policy=SMTP).get_body()
        assert body is not None
        assert body.get_content().splitlines() == ["Zeile 1", "Zeile 2 …"]
        assert not os.listdir(tmp_path / "mail" / "queued")


@pytest.mark.parametrize("bad", ["", "host", "http://host", "smtp://", "smtp://h:99999"])
def test_bad_smtp_url_does_not_repeat_a_password(bad: str) -> None:
    with pytest.raises(ValueError, match=r"smtp_url|[Pp]ort"):
        SMTPTransport.at(bad)
