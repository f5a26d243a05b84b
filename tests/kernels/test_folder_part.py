"""Processes that share a folder of records have a part of it each."""

from __future__ import annotations

from pathlib import Path

from jupyter_pdflow.kernels.manager import FolderPart


def test_each_process_has_a_part_until_it_ends(tmp_path: Path) -> None:
    """Otherwise each would end the kernels that the others have started at a gateway."""
    first, second = FolderPart(tmp_path), FolderPart(tmp_path)
    assert first.path != second.path
    first.release()
    again = FolderPart(tmp_path)
    assert again.path == first.path
    again.release()
    second.release()
