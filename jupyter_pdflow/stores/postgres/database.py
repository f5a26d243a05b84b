"""The connections to a PostgreSQL database, and its errors as ours."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from jupyter_pdflow.exceptions import ConflictError, StorageUnavailableError
from jupyter_pdflow.stores.postgres.schema import check_tables

logger = logging.getLogger(__name__)

WAIT_SECONDS = 4.0
"""Maximum time that a request waits for a connection."""

RECONNECT_SECONDS = 1.0
"""Maximum time in which a lost connection is replaced, before a request asks for it again."""

CONNECT_SECONDS = 4
"""Maximum time in which a connection is made."""

CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TooManyRequests)

Connection = AsyncConnection[tuple[Any, ...]]


class Database:
    """A pool of connections to a database.

    Parameters
    ----------
    conninfo : str
        A connection string or URL; it may hold a password, and is in no message.
    max_connections : int
        Maximum number of connections for transactions; one more listens for changes.

    Attributes
    ----------
    available : bool
        Whether the latest use of the database has succeeded.
    """

    def __init__(self, conninfo: str, *, max_connections: int) -> None:
        self.conninfo = conninfo
        self.available = True
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
            min_size=1,
            max_size=max_connections,
            timeout=WAIT_SECONDS,
            # Short: a pool that tries longer waits longer and longer between two attempts, also
            # when the database is back; the next request begins anew.
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            name="pdflow",
            kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS, **OPTIONS},
            check=AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        """Connect, and check the tables.

        Raises
        ------
        StorageUnavailableError
            The database can't be reached.
        SchemaError
            Its tables are missing, or of another version.
        """
        await self._pool.open()
        async with self.connection() as connection:
            await check_tables(connection)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; its statements are committed one by one.

        Raises
        ------
        StorageUnavailableError
            The database can't be reached or used.
        ConflictError
            It has ended a transaction in favor of another one.
        """
        with self._errors():
            async with self._pool.connection() as connection:
                yield connection
        self.available = True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except CONFLICTS as error:
            msg = "Another process has changed the same record; try again."
            raise ConflictError(msg) from error
        except UNAVAILABLE as error:
            if self.available:
                self.available = False
                logger.error("The database can't be used: %s", reason_of(error))
            msg = f"The database can't be used: {reason_of(error)}. Nothing was changed."
            raise StorageUnavailableError(msg) from error


OPTIONS: dict[str, Any] = {
    # An answer leaves after the commit is on disk, whatever the server's default is.
    "options": "-c synchronous_commit=on -c lock_timeout=4000 -c statement_timeout=30000",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}
"""Settings of each connection; times in milliseconds, of keepalives in seconds."""


async def one(cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the only row of a result."""
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101  for the type checker: the statement returns a row
    return row


def reason_of(error: Exception) -> str:
    """Return the first line of an error, which has no part of the connection string."""
    if isinstance(error, PoolTimeout | TooManyRequests):
        return "no connection is free or can be made"
    return next(iter(str(error).splitlines()), type(error).__name__)
