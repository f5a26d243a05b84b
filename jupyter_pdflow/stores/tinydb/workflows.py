"""The versions of workflows: ``workflows/<id>.json``, and all of them in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from jupyter_pdflow.rules.workflow import Source, Workflow, next_number, numbered, version_of
from jupyter_pdflow.stores import VersionSummary, unknown_workflow, workflow_ids
from jupyter_pdflow.stores.tinydb.layout import WORKFLOWS
from jupyter_pdflow.stores.tinydb.record_types import WORKFLOW, Versions
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.writer import WriterThread


class Workflows:
    """The workflows of a data directory: ``workflows/<id>.json``, and all of them in memory."""

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._records = Records(data_dir / WORKFLOWS.name, WORKFLOW, writer)
        self._known = {known.id: _numbered(known) for known in self._records.all()}
        self._deploying = asyncio.Lock()

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns the version, and whether it was not the newest before.
        """
        async with self._deploying:
            return await self._deploy(path, source, now)

    async def _deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        workflow_id, version = self._id_for(path), version_of(source)
        known = self._known.get(workflow_id) or self._not_loaded(workflow_id)
        if known is not None and known.newest == version:
            return known.versions[version], False
        versions = {} if known is None else known.versions
        before = versions.get(version)
        workflow = Workflow(
            id=workflow_id,
            name=PurePosixPath(path).stem,
            version=version,
            path=path,
            source=source,
            created_at=now if before is None else before.created_at,
            number=next_number(versions) if before is None else before.number,
        )
        await self._store_version(known, workflow)
        return workflow, True

    def all(self) -> list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""
        return [known.versions[known.newest] for _, known in sorted(self._known.items())]

    def get(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default.

        Raises
        ------
        NotFoundError
            There is no such workflow or version.
        """
        known = self._known.get(workflow_id)
        workflow = known.versions.get(version or known.newest) if known else None
        if workflow is None:
            raise unknown_workflow(workflow_id, version)
        return workflow

    def name(self, workflow_id: str) -> str:
        """Return the name of a workflow, or its id if it is unknown."""
        known = self._known.get(workflow_id)
        return known.versions[known.newest].name if known else workflow_id

    def deployed(self, path: str) -> Workflow | None:
        """Return the newest version of the notebook at `path`, or None if it has none."""
        known = self._known.get(self._id_for(path))
        newest = None if known is None else known.versions[known.newest]
        return newest if newest is not None and newest.path == path else None

    def versions(self, workflow_id: str, limit: int) -> list[VersionSummary]:
        """Return the versions with the greatest numbers; `NotFoundError` if there is none."""
        known = self._known.get(workflow_id)
        if known is None:
            raise unknown_workflow(workflow_id)
        newest_first = sorted(known.versions.values(), key=lambda each: each.number, reverse=True)
        return [
            VersionSummary(
                version=each.version,
                number=each.number,
                created_at=each.created_at,
                current=each.version == known.newest,
            )
            for each in newest_first[:limit]
        ]

    def numbers(self, versions: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return the numbers of versions by workflow and hash; unknown ones are left out."""
        found = {}
        for workflow_id, version in versions:
            known = self._known.get(workflow_id)
            workflow = known.versions.get(version) if known else None
            if workflow is not None:
                found[workflow_id, version] = workflow.number
        return found

    async def _store_version(self, known: Versions | None, workflow: Workflow) -> None:
        version = workflow.version
        if known is None:
            known = Versions(id=workflow.id, newest=version, versions={})
        versions = {**known.versions, version: workflow}
        known = replace(known, newest=version, versions=versions)
        await self._records.put(known.id, known)
        self._known[known.id] = known

    def _not_loaded(self, workflow_id: str) -> Versions | None:
        """Return a workflow whose file was not loaded at the start, or None if it has no file.

        Such a file must not be overwritten: a newer version of this package may have written it.

        Raises
        ------
        StoredFileError
            The file can't be read.
        """
        return _numbered(self._records.get(workflow_id)) if self._records.has(workflow_id) else None

    def _id_for(self, path: str) -> str:
        """Return the id of the workflow of a path; two paths never have the same one."""
        first, other = workflow_ids(path)
        known = self._known.get(first)
        return first if known is None or known.versions[known.newest].path == path else other


def _numbered(known: Versions) -> Versions:
    """Return a workflow whose versions have numbers; those of older files have none."""
    return replace(known, versions=numbered(known.versions))
