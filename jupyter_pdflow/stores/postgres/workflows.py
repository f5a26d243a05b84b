"""The versions of workflows on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import PurePosixPath

from msgspec.json import Decoder, encode
from msgspec.structs import replace

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.rules.workflow import Source, Workflow, version_of
from jupyter_pdflow.stores import VersionSummary, unknown_workflow, workflow_ids
from jupyter_pdflow.stores.postgres.database import Connection, Database, is_text, one

VERSIONS_KNOWN = 100
"""Maximum number of versions that are kept in memory."""

NUMBERS_KNOWN = 10_000
"""Maximum number of versions whose numbers are kept in memory."""

_WORKFLOW = Decoder(Workflow)

_NEWEST = """
SELECT record, number FROM pdflow.workflows JOIN pdflow.versions
    ON workflow_id = id AND version = newest
"""

# The number of a stored version is less than the next one.
_PLACE = """
SELECT number, created_at FROM pdflow.versions WHERE (workflow_id, version) = (%s, %s)
UNION ALL
SELECT coalesce(max(number), 0) + 1, %s FROM pdflow.versions WHERE workflow_id = %s
ORDER BY number LIMIT 1
"""

_VERSIONS = """
SELECT version, number, created_at, version = newest FROM pdflow.workflows JOIN pdflow.versions
    ON workflow_id = id WHERE id = %s ORDER BY number DESC LIMIT %s
"""

_NUMBERS = """
SELECT workflow_id, version, number FROM pdflow.versions
    JOIN unnest(%s::text[], %s::text[]) AS wanted (workflow_id, version)
    USING (workflow_id, version)
"""


class Workflows:
    """The tables of workflows and their versions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str | None], Workflow] = {}
        self._numbers: dict[tuple[str, str], int] = {}

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
            await connection.execute(
                "INSERT INTO pdflow.workflows VALUES (%s, %s, %s) "
                "ON CONFLICT (id) DO UPDATE SET newest = excluded.newest",
                (workflow_id, path, version),
            )
            number, created_at = await self._place(connection, workflow_id, version, now)
            workflow = Workflow(
                id=workflow_id,
                name=PurePosixPath(path).stem,
                version=version,
                path=path,
                source=source,
                created_at=created_at,
                number=number,
            )
            await connection.execute(
                "INSERT INTO pdflow.versions (workflow_id, version, record, number, created_at) "
                "VALUES (%s, %s, %s, %s, %s) "
                "ON CONFLICT (workflow_id, version) DO UPDATE SET record = excluded.record",
                (workflow_id, version, encode(workflow), number, created_at),
            )
        return workflow, True

    async def _place(
        self, connection: Connection, workflow_id: str, version: str, now: datetime
    ) -> tuple[int, datetime]:
        """Return the number of a version, and when it was first deployed.

        For a new version, they are the next number and `now`. The lock of `deploy` is held.
        """
        found = await connection.execute(_PLACE, (workflow_id, version, now, workflow_id))
        number, created_at = await one(found)
        return number, created_at.astimezone(UTC)

    async def all(self) -> list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""
        async with self._database.connection() as connection:
            found = await connection.execute(f"{_NEWEST} ORDER BY id")
            return [_decoded(*row) async for row in found]

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
        self._keep_numbers({(workflow_id, found.version): found.number})
        return found

    async def _get(self, connection: Connection, workflow_id: str, version: str | None) -> Workflow:
        if not is_text(workflow_id + (version or "")):
            raise unknown_workflow(workflow_id, version)
        if version is None:
            found = await connection.execute(f"{_NEWEST} WHERE id = %s", (workflow_id,))
        else:
            found = await connection.execute(
                "SELECT record, number FROM pdflow.versions "
                "WHERE (workflow_id, version) = (%s, %s)",
                (workflow_id, version),
            )
        row = await found.fetchone()
        if row is None:
            raise unknown_workflow(workflow_id, version)
        return _decoded(*row)

    async def deployed(self, path: str) -> Workflow | None:
        """Return the newest version of the notebook at `path`, or None if it has none."""
        if not is_text(path):
            return None
        async with self._database.connection() as connection:
            workflow_id, newest = await self._find(connection, path)
            return None if newest is None else await self._get(connection, workflow_id, newest)

    async def versions(self, workflow_id: str, limit: int) -> list[VersionSummary]:
        """Return the versions with the greatest numbers; `NotFoundError` if there is none."""
        if not is_text(workflow_id):
            raise unknown_workflow(workflow_id)
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_VERSIONS, (workflow_id, limit))).fetchall()
        if not rows:
            raise unknown_workflow(workflow_id)
        names = ("version", "number", "created_at", "current")
        return [VersionSummary(**dict(zip(names, row, strict=True))) for row in rows]

    async def numbers(self, versions: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return the numbers of versions by workflow and hash; unknown ones are left out."""
        wanted = {each for each in versions if is_text("".join(each))}
        found = {each: self._numbers[each] for each in wanted & self._numbers.keys()}
        missing = [each for each in wanted if each not in found]
        if missing:
            columns = [list(column) for column in zip(*missing, strict=True)]
            async with self._database.connection() as connection:
                async for workflow_id, version, number in await connection.execute(
                    _NUMBERS, columns
                ):
                    found[workflow_id, version] = number
            self._keep_numbers(found)
        return found

    def _keep_numbers(self, found: dict[tuple[str, str], int]) -> None:
        """Keep numbers in memory: that of a version never changes."""
        if len(self._numbers) + len(found) > NUMBERS_KNOWN:
            self._numbers.clear()
        self._numbers |= found

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


def _decoded(record: bytes, number: int) -> Workflow:
    """Return a stored version; records of older versions of this package have no number."""
    return replace(_WORKFLOW.decode(record), number=number)
