"""The emails of runs on PostgreSQL, and when the queued ones are due."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from msgspec import MsgspecError
from msgspec.json import Decoder, encode

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.rules.run import OutboxMessage
from jupyter_pdflow.settings import Limits
from jupyter_pdflow.stores import QUOTED, Email, email_of
from jupyter_pdflow.stores.postgres.database import Connection, Database, one
from jupyter_pdflow.stores.validation import is_id

logger = logging.getLogger(__name__)

_EMAIL = Decoder(Email)

_NEWEST = "SELECT id, record FROM pdflow.emails ORDER BY created_at DESC, id DESC LIMIT %s"

_NEWEST_OF_RUN = """
SELECT id, record FROM pdflow.emails WHERE run_id = %s ORDER BY created_at DESC, id DESC LIMIT %s
"""

_TAKE_DUE = """
WITH taken AS (SELECT id, due_at FROM pdflow.emails WHERE due_at <= %s ORDER BY due_at, id
    LIMIT %s FOR UPDATE SKIP LOCKED)
UPDATE pdflow.emails SET due_at = %s FROM taken WHERE emails.id = taken.id
RETURNING taken.due_at, emails.id, emails.record
"""


class Emails:
    """The table of emails."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def take_over(self, connection: Connection, messages: Sequence[OutboxMessage]) -> None:
        """Store emails of an outbox as queued, in the caller's transaction."""
        for email in map(email_of, messages):
            await connection.execute(
                "INSERT INTO pdflow.emails VALUES (%s, %s, 'queued', %s, %s, %s) "
                "ON CONFLICT (id) DO NOTHING",
                (email.id, email.run_id, email.created_at, email.created_at, encode(email)),
            )

    async def get(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if it is unknown."""
        if is_id(email_id):
            async with self._database.connection() as connection:
                found = await connection.execute(
                    "SELECT record FROM pdflow.emails WHERE id = %s", (email_id,)
                )
                row = await found.fetchone()
            if row is not None:
                return _EMAIL.decode(row[0])
        msg = f"There is no email {email_id[:QUOTED]!r}."
        raise NotFoundError(msg)

    async def newest(self, limit: int, run_id: str | None = None) -> list[Email]:
        """Return the newest emails, newest first; fewer if their texts are large."""
        found, size = list[Email](), 0
        if run_id is not None and not is_id(run_id):
            return found
        async with self._database.connection() as connection:
            if run_id is None:
                rows = await connection.execute(_NEWEST, (limit,))
            else:
                rows = await connection.execute(_NEWEST_OF_RUN, (run_id, limit))
            async for email_id, record in rows:
                size += len(record)
                if found and size > self._limits.emails_listed_bytes:
                    break
                email = _read_or_log(email_id, record)
                if email is not None:
                    found.append(email)
        return found

    async def counts(self) -> dict[str, int]:
        """Return the numbers of emails by status."""
        async with self._database.connection() as connection:
            found = await connection.execute(
                "SELECT status, count(*) FROM pdflow.emails GROUP BY status"
            )
            return dict(await found.fetchall())

    async def next_at(self) -> datetime | None:
        """Return when an email is due next."""
        async with self._database.connection() as connection:
            found = await connection.execute(
                "SELECT min(due_at) FROM pdflow.emails WHERE due_at IS NOT NULL"
            )
            at: datetime | None = (await one(found))[0]
            return at

    async def due(self, now: datetime, limit: int, again_at: datetime) -> list[Email]:
        """Return emails that are due, the earliest first, which are due again at `again_at`."""
        async with self._database.connection() as connection:
            found = await connection.execute(_TAKE_DUE, (now, limit, again_at))
            rows = sorted(await found.fetchall())
        emails = [_read_or_log(email_id, record) for _, email_id, record in rows]
        return [email for email in emails if email is not None]

    async def put(self, email: Email, next_at: datetime | None) -> None:
        """Store an email after an attempt, unless its run was deleted, or it was sent meanwhile."""
        due_at = (next_at or email.created_at) if email.status == "queued" else None
        await self._update(email, due_at, "queued")

    async def requeue(self, email: Email, next_at: datetime) -> None:
        """Queue an email again that has failed, unless its run was deleted, or it is queued."""
        await self._update(email, next_at, "failed")

    async def _update(self, email: Email, due_at: datetime | None, before: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE pdflow.emails SET status = %s, due_at = %s, record = %s "
                "WHERE id = %s AND status = %s",
                (email.status, due_at, encode(email), email.id, before),
            )


def _read_or_log(email_id: str, record: bytes) -> Email | None:
    try:
        return _EMAIL.decode(record)
    except (MsgspecError, ValueError, RecursionError) as error:
        logger.error("Email %s can't be read: %s. The other emails are sent.", email_id, error)
        return None
