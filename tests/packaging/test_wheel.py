"""The wheel brings the front end, and stays small."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import jupyter_pdflow

ROOT = Path(__file__).parents[2]
LIMIT = 1_000_000
SHARED = f"jupyter_pdflow-{jupyter_pdflow.__version__}.data/data/share/jupyter/labextensions"


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_wheel_has_both_builds_and_is_small(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True)
    (path,) = tmp_path.glob("*.whl")
    assert path.stat().st_size < LIMIT
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        package = json.loads(wheel.read(f"{SHARED}/jupyter-pdflow/package.json"))
        assert wheel.read("jupyter_pdflow/widgets/static/widget.js")
    assert {
        f"{SHARED}/jupyter-pdflow/install.json",
        f"{SHARED}/jupyter-pdflow/static/style.js",
        f"{SHARED}/jupyter-pdflow/schemas/jupyter-pdflow/plugin.json",
        f"{SHARED}/jupyter-pdflow/{package['jupyterlab']['_build']['load']}",
        "jupyter_pdflow/widgets/static/widget.css",
        "jupyter_pdflow/mail/templates/ask.html",
        "jupyter_pdflow/server/api/openapi.yaml",
    } <= names
    assert package["version"] == jupyter_pdflow.__version__
    assert not [name for name in names if "node_modules" in name or name.endswith(".map")]
