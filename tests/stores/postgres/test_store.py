"""What the store on PostgreSQL does beside the conformance suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.stores.postgres.store import PostgresStore
from jupyter_pdflow.stores.tinydb.folders import RunFolders
from tests.stores.conformance import ended


async def test_a_run_whose_files_stay_can_be_deleted_again(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = RunFolders(tmp_path)
    store = PostgresStore(database, folders)
    await store.open()
    try:
        run = await ended(store)
        (tmp_path / run.id).mkdir()

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patch:
            patch.setattr(os, "rmdir", refuse)
            failed = await store.delete([run.id])
        assert isinstance(failed[run.id], StorageUnavailableError)
        assert await store.get(run.id) == run
        assert await store.delete([run.id]) == {}
        assert not (tmp_path / run.id).exists()
    finally:
        await store.close()
