"""How the commands find the data directory and the folder of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_pdflow.cli.maintenance import find_data_dir, find_files_dir
from jupyter_pdflow.stores.folders import NOTE, RunFolders


def test_what_was_given_wins_then_the_environment_then_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JUPYTER_PDFLOW_DATA_DIR", raising=False)
    assert find_data_dir(None) == tmp_path / "share" / "pdflow"
    (tmp_path / "config" / "jupyter_server_config.py").write_text("c.PDFlow.data_dir = '~/runs'")
    assert find_data_dir(None) == tmp_path / "home" / "runs"
    monkeypatch.setenv("JUPYTER_PDFLOW_DATA_DIR", "/environment")
    assert find_data_dir(None) == Path("/environment")
    assert find_data_dir("given") == Path.cwd() / "given"


def test_the_files_dir_that_was_given_wins_then_that_of_the_latest_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, config = tmp_path / "data", tmp_path / "config"
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(config))
    config.mkdir()
    data.mkdir()
    assert find_files_dir(None, data) == data / "files"
    text = f"c.PDFlow.files_dir = {str(tmp_path / 'configured')!r}"
    (config / "jupyter_server_config.py").write_text(text)
    assert find_files_dir(None, data) == tmp_path / "configured"
    RunFolders(tmp_path / "ä of a server", data / NOTE).open()
    assert find_files_dir(None, data) == tmp_path / "ä of a server"
    assert find_files_dir("given", data) == Path.cwd() / "given"
    RunFolders(data / "files", data / NOTE).open()
    assert find_files_dir(None, data) == tmp_path / "configured"
