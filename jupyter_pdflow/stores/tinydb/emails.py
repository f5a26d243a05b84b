"""The emails of a data directory: in ``mail/queued/`` until they are sent or failed, then in ``done/``."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from jupyter_pdflow.clock import Deadlines, utc_now
from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.run import OutboxMessage
from jupyter_pdflow.stores import QUOTED, Email, email_of
from jupyter_pdflow.stores.files import replace_file
from jupyter_pdflow.stores.tinydb.index import Index
from jupyter_pdflow.stores.tinydb.layout import DONE_EMAILS, MESSAGE, MESSAGES, QUEUED_EMAILS
from jupyter_pdflow.stores.tinydb.record_types import EMAIL
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.writer import WriterThread
from jupyter_pdflow.stores.validation import is_email_id, is_id
from jupyter_pdflow.threads import in_slices, in_thread

logger = logging.getLogger(__name__)


class Emails:
    """The emails of a data directory, and when the queued ones are due."""

    def __init__(self, data_dir: Path, writer: WriterThread, index: Index) -> None:
        self._queued = Records(data_dir / QUEUED_EMAILS.name, EMAIL, writer)
        self._done = Records(data_dir / DONE_EMAILS.name, EMAIL, writer)
        self._messages = data_dir / MESSAGES
        self._deadlines = Deadlines()
        self._index = index

    async def open(self) -> None:
        """Find the queued emails; all are due at once, as the mail server may be another one now."""
        now = utc_now()
        async for email_id in in_slices(self._queued.recover()):
            if self._done.has(email_id):
                # A crash came after the result was stored.
                self._queued.unlink(email_id)
            else:
                self._deadlines.set(email_id, now)

    async def take_over(self, messages: Sequence[OutboxMessage]) -> None:
        """Store emails of an outbox as queued, except those that were stored before.

        After an `OSError` it has to be repeated.
        """
        new = [email_of(message) for message in messages if self._is_new(message)]
        puts = (self._put_queued(email, email.created_at) for email in new)
        # One that failed is raised when no other is under way: the run may be deleted then.
        for error in filter(None, await asyncio.gather(*puts, return_exceptions=True)):
            raise error

    async def _put_queued(self, email: Email, next_at: datetime) -> None:
        stamp = await self._queued.put(email.id, email)
        self._deadlines.set(email.id, next_at)
        self._index.put_email(email, stamp)

    def get(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if it is unknown."""
        email = self._read(email_id) if is_id(email_id) else None
        if email is None:
            msg = f"There is no email {email_id[:QUOTED]!r}."
            raise NotFoundError(msg)
        return email

    def next_at(self) -> datetime | None:
        """Return when an email is due next."""
        return self._deadlines.next()

    def due(self, now: datetime, limit: int, again_at: datetime, retry_at: datetime) -> list[Email]:
        """Return emails that are due, the earliest first; one that can't be read is quarantined.

        Emails are due again at `again_at`, or at `retry_at` if the system could not read any file.
        """
        found = []
        for email_id in self._deadlines.due(now, limit, again_at):
            try:
                found.append(self._queued.read(email_id))
            except StoredFileError as error:
                self._deadlines.unset(email_id)
                if self._queued.has(email_id):  # else its run was deleted
                    self._queued.quarantine(email_id, error)
            except OSError:
                self._deadlines.set(email_id, retry_at)
        return found

    async def put(self, email: Email, next_at: datetime | None, message: bytes | None) -> None:
        """Store an email after an attempt, unless its run was deleted meanwhile."""
        if not self._queued.has(email.id):
            return
        if message is not None:
            path = self._messages / f"{email.id}{MESSAGE}"
            await in_thread(replace_file, path, message)
        if email.status == "queued":
            await self._put_queued(email, next_at or email.created_at)
            return
        # In this order: after a crash in between, the record in done/ counts.
        stamp = await self._done.put(email.id, email)
        self._queued.unlink(email.id)
        self._deadlines.unset(email.id)
        self._index.put_email(email, stamp)

    async def requeue(self, email: Email, next_at: datetime) -> None:
        """Queue an email again that has failed, unless its run was deleted meanwhile."""
        if self._done.has(email.id):
            # In this order: after a crash in between, the record in done/ counts.
            await self._put_queued(email, next_at)
            self._done.unlink(email.id)

    def read_all(self, email_ids: Sequence[str], limit_bytes: int) -> list[Email]:
        """Read emails, as many as have texts of `limit_bytes` together; for a thread."""
        found: list[Email] = []
        size = 0
        for email in filter(None, map(self._read_or_log, email_ids)):
            size += len(email.text) + len(email.html or "")
            if found and size > limit_bytes:
                break
            found.append(email)
        return found

    def unlink(self, email_ids: Sequence[str]) -> None:
        """Remove emails and their messages; for a thread."""
        for email_id in email_ids:
            # First: the email is found again after a crash, and its message by it.
            (self._messages / f"{email_id}{MESSAGE}").unlink(missing_ok=True)
            self._queued.unlink(email_id)
            self._done.unlink(email_id)

    def forget(self, email_ids: Sequence[str]) -> None:
        """Remove the times of emails that were removed."""
        for email_id in email_ids:
            self._deadlines.unset(email_id)

    def _read_or_log(self, email_id: str) -> Email | None:
        """Return an email, or None if it can't be read, which is logged."""
        try:
            return self._read(email_id)
        except StoredFileError as error:
            logger.error("Email %s can't be shown: %s", email_id, error)
            return None

    def _is_new(self, message: OutboxMessage) -> bool:
        if not is_email_id(message.id, message.run_id):
            logger.error("An email of run %s has no valid id and is dropped.", message.run_id)
            return False
        return not any(
            os.path.exists(records.path(message.id))  # noqa: PTH110  half the time of Path
            for records in (self._queued, self._done)
        )

    def _read(self, email_id: str) -> Email | None:
        if self._queued.path(email_id).exists():
            with suppress(StoredFileError):  # moved to done/ meanwhile, or damaged
                return self._queued.read(email_id)
        # A file that is damaged in queued/ is read once more here, to raise its error.
        records = self._done if self._done.path(email_id).exists() else self._queued
        return records.read(email_id) if records.path(email_id).exists() else None
