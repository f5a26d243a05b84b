"""Which data directory is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_pdflow.keeping.place import configured, find_data_dir


def test_what_was_given_wins_then_the_environment_then_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JUPYTER_PDFLOW_DATA_DIR", raising=False)
    assert find_data_dir(None) == tmp_path / "share" / "pdflow"
    assert configured() == ("", "")
    (tmp_path / "config" / "jupyter_server_config.py").write_text(
        "c.PDFlow.data_dir = '~/runs'\nc.PDFlow.smtp_url = 'smtp://localhost'"
    )
    assert find_data_dir(None) == tmp_path / "home" / "runs"
    assert configured().smtp_url == "smtp://localhost"
    monkeypatch.setenv("JUPYTER_PDFLOW_DATA_DIR", "/environment")
    assert find_data_dir(None) == Path("/environment")
    assert find_data_dir("given") == Path.cwd() / "given"
