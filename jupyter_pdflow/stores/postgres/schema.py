"""The version of the tables of a database, and whether it is the one that is needed."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import psycopg

from jupyter_pdflow.exceptions import SchemaError

MIGRATIONS = "jupyter_pdflow.stores.postgres"


def migrations() -> list[str]:
    """Return the SQL of all migrations, in order."""
    folder = files(MIGRATIONS) / "migrations"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(folder / name).read_text("utf-8") for name in names]


NEWEST = len(migrations())
"""The version of the tables that this version of the package works with."""


async def check_tables(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
    """Check that a database has the tables that this version of the package works with.

    Raises
    ------
    SchemaError
        They are missing, older or newer.
    """
    found = await connection.execute("SELECT to_regclass('pdflow.schema_version')")
    row, version = await found.fetchone(), 0
    if row is not None and row[0] is not None:
        found = await connection.execute("SELECT max(version) FROM pdflow.schema_version")
        row = await found.fetchone()
        version = (row[0] if row else None) or 0
    check_version(version)


def check_version(version: int, *, allow_older: bool = False) -> None:
    """Check the version of the tables of a database.

    Raises
    ------
    SchemaError
        They are older or newer than those that this version of the package works with.
    """
    if version > NEWEST:
        msg = (
            f"The tables of the database have version {version}, and this jupyter_pdflow works "
            f"with version {NEWEST}. Upgrade jupyter_pdflow."
        )
        raise SchemaError(msg)
    if version < NEWEST and not allow_older:
        what = f"have version {version}" if version else "are missing"
        msg = (
            f"The tables of the database {what}; version {NEWEST} is needed. Run "
            "`jupyter pdflow migrate`."
        )
        raise SchemaError(msg)
