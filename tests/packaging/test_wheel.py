"""The wheel brings the front end, and stays small."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import jupyter_pdflow
from jupyter_pdflow.widgets.bundle import LOADER, MODULE, STYLE

ROOT = Path(__file__).parents[2]
LIMIT = 1_000_000
STATIC = "jupyter_pdflow/widgets/static"
SHARED = f"jupyter_pdflow-{jupyter_pdflow.__version__}.data/data/share/jupyter/labextensions"


def wheel_of(checkout: Path, folder: Path, **env: str) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", folder, checkout]
    subprocess.run(command, check=True, env={**os.environ, **env})
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_wheel_has_both_builds_and_is_small(tmp_path: Path) -> None:
    path = wheel_of(ROOT, tmp_path)
    assert path.stat().st_size < LIMIT
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        package = json.loads(wheel.read(f"{SHARED}/jupyter-pdflow/package.json"))
        loader, *views = (wheel.read(f"{STATIC}/{name}") for name in (LOADER, MODULE, STYLE))
        assert hashlib.sha256(b"".join(views)).hexdigest()[:16].encode() in loader
    assert {
        f"{SHARED}/jupyter-pdflow/install.json",
        f"{SHARED}/jupyter-pdflow/static/style.js",
        f"{SHARED}/jupyter-pdflow/schemas/jupyter-pdflow/plugin.json",
        f"{SHARED}/jupyter-pdflow/{package['jupyterlab']['_build']['load']}",
        "jupyter_pdflow/mail/templates/ask.html",
        "jupyter_pdflow/server/api/openapi.yaml",
    } <= names
    assert package["version"] == jupyter_pdflow.__version__
    assert not [name for name in names if "node_modules" in name or name.endswith(".map")]


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_development_install_is_no_obstacle(tmp_path: Path) -> None:
    checkout, not_needed = (
        tmp_path / "checkout",
        shutil.ignore_patterns(".*", "node_modules", "tests"),
    )
    shutil.copytree(ROOT, checkout, ignore=not_needed)
    shutil.copy(
        ROOT / "labextension" / "install.json", checkout / "jupyter_pdflow" / "labextension"
    )
    path = wheel_of(checkout, tmp_path, SKIP_JUPYTER_BUILDER="1")
    with zipfile.ZipFile(path) as wheel:
        assert wheel.namelist().count(f"{SHARED}/jupyter-pdflow/install.json") == 1
