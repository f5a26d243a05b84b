"""The versions of workflows on PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath

from msgspec.json import Decoder, encode

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.rules.workflow import Source, Workflow, version_of
from jupyter_pdflow.stores import workflow_ids
from jupyter_pdflow.stores.postgres.database import Connection, Database

VERSIONS_KNOWN = 100
"""Maximum number of versions that are kept in memory."""

_WORKFLOW = Decoder(Workflow)

_NEWEST = """
SELECT record FROM pdflow.workflows JOIN pdflow.versions
    ON workflow_id = id AND version = newest
"""


class Workflows:
    """The tables of workflows and their versions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str | None], Workflow] = {}

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns the version, and whether it was not the newest before.
        """
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE pdflow.workflows IN SHARE ROW EXCLUSIVE MODE")
            workflow_id, newest = await self._find(connection, path)
            version = version_of(source)
            if newest == version:
                return await self._get(connection, workflow_id, version), False
            workflow = Workflow(
                id=workflow_id,
                name=PurePosixPath(path).stem,
                version=version,
                path=path,
                source=source,
                created_at=now,
            )
            await connection.execute(
                "INSERT INTO pdflow.workflows VALUES (%s, %s, %s) "
                "ON CONFLICT (id) DO UPDATE SET newest = excluded.newest",
                (workflow_id, path, version),
            )
            await connection.execute(
                "INSERT INTO pdflow.versions VALUES (%s, %s, %s) "
                "ON CONFLICT (workflow_id, version) DO UPDATE SET record = excluded.record",
                (workflow_id, version, encode(workflow)),
            )
        return workflow, True

    async def all(self) -> list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""
        async with self._database.connection() as connection:
            found = await connection.execute(f"{_NEWEST} ORDER BY id")
            return [_WORKFLOW.decode(record) async for (record,) in found]

    async def get(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        known = self._known.get((workflow_id, version))
        if known is not None:
            return known
        async with self._database.connection() as connection:
            found = await self._get(connection, workflow_id, version)
        # A version never changes. Which one is the newest does.
        while len(self._known) >= VERSIONS_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[workflow_id, found.version] = found
        return found

    async def _get(self, connection: Connection, workflow_id: str, version: str | None) -> Workflow:
        if "\0" in workflow_id + (version or ""):
            raise _unknown(workflow_id, version)
        if version is None:
            found = await connection.execute(f"{_NEWEST} WHERE id = %s", (workflow_id,))
        else:
            found = await connection.execute(
                "SELECT record FROM pdflow.versions WHERE (workflow_id, version) = (%s, %s)",
                (workflow_id, version),
            )
        row = await found.fetchone()
        if row is None:
            raise _unknown(workflow_id, version)
        return _WORKFLOW.decode(row[0])

    async def _find(self, connection: Connection, path: str) -> tuple[str, str | None]:
        """Return the id of the workflow of a path, and its newest version if there is one."""
        for workflow_id in workflow_ids(path):
            found = await connection.execute(
                "SELECT path, newest FROM pdflow.workflows WHERE id = %s", (workflow_id,)
            )
            row = await found.fetchone()
            if row is None or row[0] == path:
                return workflow_id, None if row is None else row[1]
        msg = f"There is no id for the workflow of {path!r}."
        raise NotFoundError(msg)


def _unknown(workflow_id: str, version: str | None) -> NotFoundError:
    return NotFoundError(
        f"There is no workflow {workflow_id!r}" + (f" {version}." if version else ".")
    )
