"""The outbox: stores the emails of steps, delivers them, and keeps them afterwards."""

from __future__ import annotations

import asyncio
import logging
import os
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from heapq import nlargest
from pathlib import Path
from typing import NamedTuple, cast

from msgspec.structs import replace

from jupyter_pdflow.clock import Timers
from jupyter_pdflow.exceptions import NotFoundError, StoredFileError, UndeliverableError
from jupyter_pdflow.mail.smtp import SMTPTransport, delivered, envelope_of, undelivered
from jupyter_pdflow.rules.run import OutboxMessage
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import Email, run_of
from jupyter_pdflow.stores.tinydb.layout import (
    DONE_EMAILS,
    MESSAGE,
    MESSAGES,
    QUEUED_EMAILS,
)
from jupyter_pdflow.stores.tinydb.record_types import EMAIL, QUOTED
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.storage import (
    in_reader,
    in_slices,
    in_thread,
    move_file,
    replace_file,
    sorted_in_turns,
)
from jupyter_pdflow.stores.tinydb.validation import is_email_id, is_id
from jupyter_pdflow.stores.tinydb.writer import WriterThread

logger = logging.getLogger(__name__)

LONGEST_RETRY = timedelta(hours=1)
"""Maximum time between two attempts to deliver an email."""

GIVE_UP_AFTER = timedelta(days=3)
"""Age of an email from which a failed attempt is the last one."""

SENDING_AT_ONCE = 4
"""Maximum number of emails that are being sent at a time."""


class EmailFiles(NamedTuple):
    """A listing of the files of emails.

    Attributes
    ----------
    messages, done : Path
        The folders of the emails that are kept as files, and of the records that are done.
    waiting : set of str
        The ids of runs that have a queued email.
    names : list of str
        The files of emails that are not queued, sorted, so that those of a run are neighbours.
    """

    messages: Path
    done: Path
    waiting: set[str]
    names: list[str]

    def of(self, run_id: str) -> Iterator[Path]:
        """Yield the files of a run's emails that are not queued."""
        position = bisect_left(self.names, f"{run_id}-")
        while position < len(self.names) and run_of(self.names[position]) == run_id:
            name = self.names[position]
            yield (self.messages if name.endswith(MESSAGE) else self.done) / name
            position += 1


class Outbox:
    """Stores emails below ``mail/``: in ``queued/`` until they are sent or failed, then in ``done/``.

    A failed delivery is tried again after 5 s, 10 s, 20 s … up to an hour, for three days.

    Parameters
    ----------
    data_dir : Path
        The data directory.
    transport : SMTPTransport or None
        Sends emails, or None to keep them as ``.eml`` files.
    mail_from : str
        The sender of all emails.
    mail_to : list of str
        The recipients of emails that name none.
    clock : callable
        Returns the current time.
    limits : Limits
        How soon delivery is tried again, and how many emails a list shows.
    writer : WriterThread, optional
        Makes the writes; by default one of its own, which `close` ends.
    """

    def __init__(
        self,
        data_dir: Path,
        transport: SMTPTransport | None,
        *,
        mail_from: str,
        mail_to: list[str],
        clock: Callable[[], datetime],
        limits: Limits = LIMITS,
        writer: WriterThread | None = None,
    ) -> None:
        self._own_writer = None
        if writer is None:
            writer = self._own_writer = WriterThread()
        self._limits = limits
        self._first_retry = timedelta(seconds=limits.email_retry_seconds)
        self._queued = Records(data_dir / QUEUED_EMAILS.name, EMAIL, writer)
        self._done = Records(data_dir / DONE_EMAILS.name, EMAIL, writer)
        self._messages = data_dir / MESSAGES
        self._transport = transport
        self._from = mail_from
        self._to = mail_to
        self._clock = clock
        self._timers = Timers(self._on_due, clock, limits=limits)
        self._due: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._newest: dict[str, None] = {}
        self._listed = False
        self._listing = asyncio.Lock()

    async def open(self) -> None:
        """Take up the queued emails: send them, or keep them as files if there is no transport."""
        async for email in in_slices(self._queued.all()):
            if self._transport is not None:
                self._timers.set(email.id, self._clock())
                continue
            try:
                # In this order: a crash in between leaves the email queued, not lost.
                await self._keep(email)
                self._queued.path(email.id).unlink()
            except OSError as error:
                logger.error(
                    "Email %s stays queued until the server starts again: %s", email.id, error
                )

    async def close(self) -> None:
        """Stop delivering. Emails that are queued stay queued."""
        self._timers.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._own_writer is not None:
            await self._own_writer.close()

    async def accept(self, emails: list[OutboxMessage]) -> None:
        """Store emails for delivery, except those that were stored before.

        Raises
        ------
        OSError
            An email could not be stored. Hand all of them over again.
        """
        for email in emails:
            if not is_email_id(email.id, email.run_id):
                logger.error("An email of run %s has no valid id and is dropped.", email.run_id)
            elif not self._has(email.id):
                await self._add(self._addressed(email))

    async def emails(self) -> list[Email]:
        """Return the newest emails, newest first, as many as the limits allow."""
        async with self._listing:
            if not self._listed:
                # Set before the folders are read: `forget_list` may be called meanwhile, and the
                # next list then reads them again.
                self._listed = True
                older = await in_reader(self._ids_by_time)
                # Emails that were accepted meanwhile are newer than all in the folders.
                newer, self._newest = self._newest, dict.fromkeys(older)
                self._note(*newer)
        return await in_reader(self._read_all, list(reversed(self._newest)))

    def email(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if it is unknown."""
        email = self._read(email_id) if is_id(email_id) else None
        if email is None:
            msg = f"There is no email {email_id[:QUOTED]!r}."
            raise NotFoundError(msg)
        return email

    async def files(self) -> EmailFiles:
        """List the files of all emails, to find those of many runs."""
        return await in_reader(self._files)

    def forget_list(self) -> None:
        """Have the next list read the folders again, because files were removed."""
        self._listed = False
        self._newest = {}

    def _files(self) -> EmailFiles:
        waiting = {run_of(email_id) for email_id in self._queued.ids()}
        folders = (self._messages, self._done.directory)
        names = (entry.name for folder in folders for entry in os.scandir(folder))
        return EmailFiles(*folders, waiting, sorted_in_turns(names))

    def _ids_by_time(self) -> list[str]:
        """Return the ids of the emails that were written last, oldest first."""
        found = [
            pair
            for records in (self._queued, self._done)
            for pair in records.newest(self._limits.emails_listed)
        ]
        return [email_id for _, email_id in reversed(nlargest(self._limits.emails_listed, found))]

    def _note(self, *email_ids: str) -> None:
        """Add emails to the newest ones, the newest last, and drop the oldest beyond the limit."""
        for email_id in email_ids:
            self._newest.pop(email_id, None)
            self._newest[email_id] = None
        for email_id in list(self._newest)[: -self._limits.emails_listed]:
            del self._newest[email_id]

    def _read_all(self, email_ids: list[str]) -> list[Email]:
        found: list[Email] = []
        size = 0
        for email_id in email_ids:
            email = self._read_or_log(email_id)
            if email is not None:
                size += len(email.text) + len(email.html or "")
                if found and size > self._limits.emails_listed_bytes:
                    break
                found.append(email)
        return sorted(found, key=lambda email: email.created_at, reverse=True)

    def _has(self, email_id: str) -> bool:
        return any(records.path(email_id).exists() for records in (self._queued, self._done))

    def _read(self, email_id: str) -> Email | None:
        if self._queued.path(email_id).exists():
            with suppress(StoredFileError):  # moved to done/ meanwhile, or damaged
                return self._queued.read(email_id)
        # A file that is damaged in queued/ is read once more here, to raise its error.
        records = self._done if self._done.path(email_id).exists() else self._queued
        return records.read(email_id) if records.path(email_id).exists() else None

    def _read_or_log(self, email_id: str) -> Email | None:
        try:
            return self._read(email_id)
        except StoredFileError as error:
            logger.error("Email %s can't be shown: %s", email_id, error)
            return None

    def _addressed(self, email: OutboxMessage) -> Email:
        mail = email.email
        return Email(
            id=email.id,
            run_id=email.run_id,
            step=email.step,
            to=mail.to or self._to,
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            created_at=email.created_at,
        )

    async def _add(self, email: Email) -> None:
        if self._transport is None:
            await self._keep(email)
        else:
            await self._queued.put(email.id, email)
            self._timers.set(email.id, self._clock())
        self._note(email.id)

    async def _keep(self, email: Email) -> None:
        """Store an email as a message file; one that can't be written as a message has failed."""
        try:
            envelope = await in_thread(envelope_of, email, self._from)
        except UndeliverableError as error:
            logger.warning("Email %s can't be kept as a file: %s", email.id, error)
            email = undelivered(email, error, late=True)
        else:
            path = self._messages / f"{email.id}{MESSAGE}"
            await in_thread(replace_file, path, envelope.content)
            email = replace(email, status="kept")
        await self._done.put(email.id, email)

    def _on_due(self, email_id: str) -> None:
        self._due.append(email_id)
        if len(self._tasks) < SENDING_AT_ONCE:
            task = asyncio.create_task(self._deliver_due(), name="deliver emails")
            self._tasks.add(task)

    async def _deliver_due(self) -> None:
        try:
            while self._due:
                await self._deliver_or_log(self._due.popleft())
        finally:
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _deliver_or_log(self, email_id: str) -> None:
        try:
            await self._deliver(email_id)
        except Exception:
            logger.exception("Email %s stays queued until the server starts again.", email_id)

    async def _deliver(self, email_id: str) -> None:
        email = await self._attempt(self._queued.read(email_id))
        while not await self._store(email):  # noqa: ASYNC110  it waits for room on the disk
            await asyncio.sleep(self._limits.storage_retry_seconds)
        if email.status == "queued":
            wait = min(self._first_retry * 2 ** min(email.attempts - 1, 20), LONGEST_RETRY)
            self._timers.set(email.id, self._clock() + wait)

    async def _store(self, email: Email) -> bool:
        """Store an email after an attempt; return whether the storage has taken it.

        The caller tries until it is stored: otherwise the email would be sent twice.
        """
        try:
            # First in queued/, then moved: so the file is never in both folders.
            await self._queued.put(email.id, email)
            if email.status != "queued":
                path = self._queued.path(email.id)
                await in_thread(move_file, path, self._done.directory)
        except OSError:
            logger.exception(
                "The result of sending email %s can't be stored; trying again.", email.id
            )
            return False
        return True

    async def _attempt(self, email: Email) -> Email:
        assert self._transport is not None  # noqa: S101  nothing is queued without it
        email = replace(email, attempts=email.attempts + 1)
        late = self._clock() - email.created_at > GIVE_UP_AFTER
        try:
            envelope = await in_thread(envelope_of, email, self._from)
            email = delivered(email, envelope, await self._transport.send(envelope), late=late)
        except UndeliverableError as error:
            email = undelivered(email, error, late=late)
        if email.error is not None:
            logger.warning("Email %s was not delivered: %s", email.id, email.error)
        return email
