"""The store on PostgreSQL does what every store has to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.stores.postgres.store import PostgresStore
from tests.stores.conformance import StoreConformance

LEASE = timedelta(seconds=0.3)


class TestPostgresStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def database_url(self, database: str) -> None:
        self._url = database

    def make(self) -> Store:
        return PostgresStore(self._url, lease=LEASE)

    async def let_leases_lapse(self) -> None:
        await asyncio.sleep(LEASE.total_seconds())

    @contextmanager
    def broken(self, store: Store) -> Iterator[None]:
        """Let the server end the connections of the database, and refuse new ones."""
        name = self._url.rpartition("/")[2]
        with psycopg.connect(self._url.replace(name, "postgres"), autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            yield
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
