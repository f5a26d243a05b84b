"""Deployed workflows in TinyDB: one database per workflow, with each version it had."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import datetime
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace
from slugify import slugify

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.rules.workflow import Source, Workflow, version_of
from jupyter_pdflow.store.records import Records, RecordType
from jupyter_pdflow.store.validation import flaw_of_workflow


class Versions(Struct, frozen=True, kw_only=True):
    """All versions of one workflow; `newest` names the one that new runs use."""

    id: str
    newest: str
    versions: dict[str, Workflow]


def flaw_of_versions(known: Versions) -> str | None:
    """Say what is wrong with a stored workflow; None if nothing is."""
    if known.newest not in known.versions:
        return "its newest version is missing"
    for version, workflow in known.versions.items():
        if (workflow.id, workflow.version) != (known.id, version):
            return f"version {version[:80]!r} is that of another workflow, or another version"
        flaw = flaw_of_workflow(workflow)
        if flaw is not None:
            return f"version {version!r}: {flaw}"
    return None


WORKFLOW = RecordType(Versions, "workflow", flaw_of_versions)
"""How a workflow is stored."""


class Workflows:
    """The workflows of a data directory, ``workflows/<id>.json``, all held in memory."""

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._records = Records(data_dir / "workflows", WORKFLOW, log)
        self._known = {known.id: known for known in self._records.all()}
        self._deploying = asyncio.Lock()

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns
        -------
        workflow : Workflow
            The version that new runs now use.
        changed : bool
            Whether new runs used another one before.
        """
        async with self._deploying:
            return await self._deploy(path, source, now)

    async def _deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        workflow_id, version = self._id_for(path), version_of(source)
        known = self._known.get(workflow_id) or self._left_alone(workflow_id)
        if known is not None and known.newest == version:
            return known.versions[version], False
        workflow = Workflow(
            id=workflow_id,
            name=PurePosixPath(path).stem,
            version=version,
            path=path,
            source=source,
            created_at=now,
        )
        await self._keep(known, workflow)
        return workflow, True

    def all(self) -> list[Workflow]:
        """Get the newest version of each workflow, by id."""
        return [known.versions[known.newest] for _, known in sorted(self._known.items())]

    def get(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Get one version of a workflow, the newest by default.

        Raises
        ------
        NotFoundError
            There is no such workflow or version.
        """
        known = self._known.get(workflow_id)
        workflow = known.versions.get(version or known.newest) if known else None
        if workflow is None:
            msg = f"There is no workflow {workflow_id!r}" + (f" {version}." if version else ".")
            raise NotFoundError(msg)
        return workflow

    async def _keep(self, known: Versions | None, workflow: Workflow) -> None:
        version = workflow.version
        if known is None:
            known = Versions(id=workflow.id, newest=version, versions={})
        versions = {**known.versions, version: workflow}
        known = replace(known, newest=version, versions=versions)
        await self._records.put(known.id, known)
        self._known[known.id] = known

    def _left_alone(self, workflow_id: str) -> Versions | None:
        """Read a file that was not read when the server started, instead of overwriting it.

        Raises
        ------
        StoredFileError
            It can't be read: a newer version of this package wrote it, for instance.
        """
        return self._records.get(workflow_id) if self._records.has(workflow_id) else None

    def _id_for(self, path: str) -> str:
        """Make a slug of a path; two paths never share one."""
        slug = slugify(path.removesuffix(".ipynb"), max_length=80) or "workflow"
        known = self._known.get(slug)
        if known is None or known.versions[known.newest].path == path:
            return slug
        return f"{slug}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
