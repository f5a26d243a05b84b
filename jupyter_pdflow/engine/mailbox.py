"""The mails that steps have asked for: kept until they are delivered, and afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from jupyter_pdflow.engine.debts import RETRY_AFTER
from jupyter_pdflow.engine.email_records import EMAIL
from jupyter_pdflow.engine.letters import StoredLetter, message_of, run_of
from jupyter_pdflow.engine.post import Post, UndeliverableError
from jupyter_pdflow.engine.timers import Timers
from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.run import Letter
from jupyter_pdflow.store.records import SUFFIX, Records
from jupyter_pdflow.store.storage import move_file, replace_file
from jupyter_pdflow.store.threads import in_thread
from jupyter_pdflow.store.validation import is_id

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)
SENDING_AT_ONCE = 4
LISTED = 500
MESSAGE = ".eml"


class Mailbox:
    """Keeps mails in ``mail/``: ``queued/`` until they are settled, then ``done/``.

    Delivery is tried again, after 5 s, 10 s, 20 s … up to an hour, for three days.

    Parameters
    ----------
    data_dir : Path
        The data directory.
    post : Post or None
        Delivers mails; without it they are kept as ``.eml`` files.
    mail_from : str
        The sender of all mails.
    mail_to : list of str
        Who gets the mails that name no recipient.
    """

    def __init__(
        self,
        data_dir: Path,
        post: Post | None,
        *,
        mail_from: str,
        mail_to: list[str],
        clock: Callable[[], datetime],
        log: logging.Logger,
    ) -> None:
        self._queued = Records(data_dir / "mail" / "queued", EMAIL, log)
        self._done = Records(data_dir / "mail" / "done", EMAIL, log)
        self._directory = data_dir / "mail"
        self._post = post
        self._from = mail_from
        self._to = mail_to
        self._clock = clock
        self._log = log
        self._timers = Timers(self._on_due, clock)
        self._sending = asyncio.Semaphore(SENDING_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take up what is queued: deliver it, or keep it where no server is configured now."""
        for letter in self._queued.all():
            if self._post is None:
                await self._keep(letter)
                self._queued.path(letter.id).unlink()
            else:
                self._timers.set(letter.id, self._clock())

    async def close(self) -> None:
        """Stop delivering; what is queued stays queued."""
        self._timers.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def accept(self, letters: list[Letter]) -> None:
        """Take mails over, durably; one that was taken before is not taken again."""
        for letter in letters:
            if not self._knows(letter.id):
                await self._take(self._addressed(letter))

    def letters(self) -> list[StoredLetter]:
        """List the newest `LISTED` mails, newest first."""
        paths = [path for box in (self._queued, self._done) for path in box.newest(LISTED)]
        found = [letter for path in paths if (letter := self._readable(path.stem)) is not None]
        return sorted(found, key=lambda letter: letter.created_at, reverse=True)[:LISTED]

    def letter(self, letter_id: str) -> StoredLetter:
        """Get one mail; `NotFoundError` where there is none."""
        letter = self._read(letter_id) if is_id(letter_id) else None
        if letter is None:
            msg = f"There is no mail {letter_id!r}."
            raise NotFoundError(msg)
        return letter

    def waiting(self) -> set[str]:
        """List the ids of the runs that have a mail to deliver."""
        return {run_of(letter_id) for letter_id in self._queued.ids()}

    def remove_of(self, run_ids: Collection[str]) -> None:
        """Remove the settled mails of some runs."""
        gone = set(run_ids)
        for box, suffix in ((self._directory, MESSAGE), (self._done.directory, SUFFIX)):
            for path in list(box.glob(f"*{suffix}")) if gone else ():
                if run_of(path.stem) in gone:
                    path.unlink(missing_ok=True)

    def _knows(self, letter_id: str) -> bool:
        return any(box.path(letter_id).exists() for box in (self._queued, self._done))

    def _read(self, letter_id: str) -> StoredLetter | None:
        if self._queued.path(letter_id).exists():
            with suppress(StoredFileError):  # settled just now, or damaged
                return self._queued.get(letter_id)
        box = self._done if self._done.path(letter_id).exists() else self._queued
        return box.get(letter_id) if box.path(letter_id).exists() else None

    def _readable(self, letter_id: str) -> StoredLetter | None:
        try:
            return self._read(letter_id)
        except StoredFileError as error:
            self._log.error("Mail %s can't be shown: %s", letter_id, error)
            return None

    def _addressed(self, letter: Letter) -> StoredLetter:
        mail = letter.mail
        return StoredLetter(
            id=letter.id,
            run_id=letter.run_id,
            step=letter.step,
            to=mail.to or self._to,
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            created_at=letter.created_at,
        )

    async def _take(self, letter: StoredLetter) -> None:
        if self._post is None:
            await self._keep(letter)
        else:
            await self._queued.put(letter.id, letter)
            self._timers.set(letter.id, self._clock())

    async def _keep(self, letter: StoredLetter) -> None:
        message = message_of(letter, self._from)
        path = self._directory / f"{letter.id}{MESSAGE}"
        await in_thread(replace_file, path, message.as_bytes())
        await self._done.put(letter.id, replace(letter, status="kept"))

    def _on_due(self, letter_id: str) -> None:
        task = asyncio.create_task(self._deliver(letter_id), name=f"mail {letter_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, letter_id: str) -> None:
        letter = self._queued.get(letter_id)
        async with self._sending:
            letter = await self._attempt(letter)
        while not await self._store(letter):  # noqa: ASYNC110  it waits for room on the disk
            await asyncio.sleep(RETRY_AFTER)
        if letter.status == "queued":
            wait = min(FIRST_RETRY * 2 ** min(letter.attempts - 1, 20), LONGEST_RETRY)
            self._timers.set(letter.id, self._clock() + wait)

    async def _store(self, letter: StoredLetter) -> bool:
        """Store what became of an attempt, if the disk takes it: a mail is not sent twice."""
        try:
            await self._queued.put(letter.id, letter)
            if letter.status != "queued":
                path = self._queued.path(letter.id)
                await in_thread(move_file, path, self._done.directory)
        except OSError:
            self._log.exception("What became of mail %s can't be stored; retrying.", letter.id)
            return False
        return True

    async def _attempt(self, letter: StoredLetter) -> StoredLetter:
        assert self._post is not None  # noqa: S101  nothing is queued without it
        letter = replace(letter, attempts=letter.attempts + 1)
        try:
            await self._post.send(message_of(letter, self._from))
        except UndeliverableError as error:
            late = self._clock() - letter.created_at > GIVE_UP_AFTER
            over = error.for_good or late
            self._log.warning("Mail %s was not delivered: %s", letter.id, error)
            return replace(letter, status="failed" if over else "queued", error=str(error))
        return replace(letter, status="sent", error=None)
