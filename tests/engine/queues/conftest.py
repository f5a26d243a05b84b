"""A PostgreSQL server, and databases with the tables."""

from __future__ import annotations

from tests.stores.postgres.conftest import database, postgres

__all__ = ["database", "postgres"]
