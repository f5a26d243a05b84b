from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from jupyter_pdflow.engine import mailbox as mailbox_module
from jupyter_pdflow.engine.letters import StoredLetter
from jupyter_pdflow.engine.mailbox import Mailbox
from jupyter_pdflow.engine.post import Post
from jupyter_pdflow.engine.timers import utc_now
from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.rules.run import Letter, Mail
from tests.engine.support import Inbox, smtp_server, until


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


async def open_box(
    data_dir: Path, post: Post | None, clock=utc_now, mail_to=("owner@example.org",)
):  # type: ignore[no-untyped-def]
    box = Mailbox(
        data_dir,
        post,
        mail_from="flows@example.org",
        mail_to=list(mail_to),
        clock=clock,
        log=logging.getLogger("test"),
    )
    await box.open()
    return box


@pytest.fixture
async def box(tmp_path: Path, smtp: Controller) -> AsyncIterator[Mailbox]:
    box = await open_box(tmp_path, Post.at(url(smtp)))
    yield box
    await box.close()


def letter(letter_id: str = "r-1-0-0", **mail: object) -> Letter:
    mail = {"subject": "Please approve", "text": "Yes: https://x/y", **mail}
    return Letter(
        id=letter_id, run_id="r", step="a", created_at=datetime.now(UTC), mail=Mail(**mail)
    )


def status(box: Mailbox, letter_id: str = "r-1-0-0") -> str:
    return box.letter(letter_id).status


async def test_delivered_to_the_owner_by_default(box: Mailbox, inbox: Inbox) -> None:
    await box.accept([letter(html="<b>Yes</b>")])
    await until(lambda: status(box) == "sent")
    mail = inbox.mails[0]
    assert (mail["To"], mail["From"]) == ("owner@example.org", "flows@example.org")
    assert mail["Subject"] == "Please approve"
    assert mail["Message-ID"] == "<r-1-0-0@jupyter-pdflow>"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert text.get_content().strip() == "Yes: https://x/y"
    assert html is not None
    assert html.get_content().strip() == "<b>Yes</b>"


async def test_delivered_to_whom_the_step_named(box: Mailbox, inbox: Inbox) -> None:
    await box.accept([letter(to=["a@example.org", "Bé <b@example.org>"], subject="Ünïcode …")])
    await until(lambda: status(box) == "sent")
    assert inbox.envelopes == [("flows@example.org", ["a@example.org", "b@example.org"])]
    assert inbox.mails[0]["Subject"] == "Ünïcode …"


async def test_handed_over_twice_is_sent_once(box: Mailbox, inbox: Inbox) -> None:
    await box.accept([letter()])
    await until(lambda: status(box) == "sent")
    await box.accept([letter(), letter("r-1-0-1")])
    await until(lambda: status(box, "r-1-0-1") == "sent")
    assert len(inbox.mails) == 2


async def test_tried_again_until_it_works(
    box: Mailbox, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_module, "FIRST_RETRY", timedelta(milliseconds=20))
    inbox.replies = ["451 busy", "452 full"]
    await box.accept([letter()])
    await until(lambda: status(box) == "sent")
    found = box.letter("r-1-0-0")
    assert (found.attempts, found.error) == (3, None)


async def test_a_refusal_for_good_is_not_tried_again(box: Mailbox, inbox: Inbox) -> None:
    inbox.replies = ["554 no spam please"]
    await box.accept([letter()])
    await until(lambda: status(box) == "failed")
    assert "no spam please" in (box.letter("r-1-0-0").error or "")
    assert inbox.mails == []


async def test_no_recipient(tmp_path: Path, smtp: Controller) -> None:
    box = await open_box(tmp_path, Post.at(url(smtp)), mail_to=())
    await box.accept([letter()])
    await until(lambda: status(box) == "failed")
    assert "PDFlow.mail_to" in (box.letter("r-1-0-0").error or "")
    await box.close()


async def test_queued_mail_outlives_a_restart(
    tmp_path: Path, smtp: Controller, inbox: Inbox
) -> None:
    nobody = await open_box(tmp_path, Post.at("smtp://127.0.0.1:9"))
    await nobody.accept([letter()])
    await until(lambda: nobody.letter("r-1-0-0").error is not None)
    assert status(nobody) == "queued"
    await nobody.close()
    box = await open_box(tmp_path, Post.at(url(smtp)))
    await until(lambda: status(box) == "sent")
    assert len(inbox.mails) == 1
    await box.close()


async def test_queued_mail_is_kept_where_no_server_is_configured_any_more(tmp_path: Path) -> None:
    nobody = await open_box(tmp_path, Post.at("smtp://127.0.0.1:9"))
    await nobody.accept([letter()])
    await nobody.close()
    box = await open_box(tmp_path, None)
    assert status(box) == "kept"
    assert (tmp_path / "mail" / "r-1-0-0.eml").exists()
    assert not list((tmp_path / "mail" / "queued").iterdir())
    await box.close()


async def test_a_delivered_mail_is_not_sent_again_while_the_disk_is_full(
    box: Mailbox, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_module, "RETRY_AFTER", 0.01)
    done = tmp_path / "mail" / "done"
    done.rmdir()
    done.touch()  # nothing can be moved there
    await box.accept([letter()])
    await until(lambda: inbox.mails)
    done.unlink()
    done.mkdir()
    await until((done / "r-1-0-0.json").exists)
    assert (status(box), len(inbox.mails)) == ("sent", 1)


async def test_a_damaged_file_does_not_hide_the_other_mails(
    box: Mailbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await box.accept([letter()])
    await until(lambda: status(box) == "sent")
    (tmp_path / "mail" / "done" / "damaged.json").write_bytes(b"{")
    assert [found.id for found in box.letters()] == ["r-1-0-0"]
    assert "damaged.json is not JSON" in caplog.text


async def test_given_up_after_three_days(tmp_path: Path) -> None:
    box = await open_box(
        tmp_path, Post.at("smtp://127.0.0.1:9"), clock=lambda: utc_now() + timedelta(days=3.1)
    )
    await box.accept([letter()])
    await until(lambda: status(box) == "failed")
    await box.close()


async def test_logs_in(tmp_path: Path, inbox: Inbox) -> None:
    controller = smtp_server(inbox, authenticator=inbox.authenticate, auth_require_tls=False)
    controller.start()
    box = await open_box(tmp_path, Post.at(f"smtp://me%40x:p%2Fw@127.0.0.1:{controller.port}"))
    await box.accept([letter()])
    await until(lambda: status(box) == "sent")
    assert inbox.login == (b"me@x", b"p/w")
    await box.close()
    controller.stop()


async def test_without_a_server_mails_are_kept_as_files(tmp_path: Path) -> None:
    box = await open_box(tmp_path, None)
    await box.accept([letter(text="Zeile 1\nZeile 2 …")])
    assert status(box) == "kept"
    content = (tmp_path / "mail" / "r-1-0-0.eml").read_bytes()
    body = message_from_bytes(content, policy=SMTP).get_body()
    assert body is not None
    assert body.get_content().splitlines() == ["Zeile 1", "Zeile 2 …"]
    await box.close()


async def test_listed_newest_first(tmp_path: Path) -> None:
    box = await open_box(tmp_path, None)
    for number in range(3):
        await box.accept([letter(f"m{number}")])
    assert [found.id for found in box.letters()] == ["m2", "m1", "m0"]
    assert isinstance(box.letter("m1"), StoredLetter)
    for unknown in ("nope", "../done/m1", ""):
        with pytest.raises(NotFoundError):
            box.letter(unknown)
    await box.close()


@pytest.mark.parametrize("bad", ["", "host", "http://host", "smtp://", "smtp://h:99999"])
def test_bad_smtp_url_does_not_repeat_a_password(bad: str) -> None:
    with pytest.raises(ValueError, match=r"smtp_url|[Pp]ort"):
        Post.at(bad)
