"""``pd.files``: the folder of a run, and a kernel that does not see it."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import FolderError, StepOverError
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.pd.pd import FILES_ID_NAME, session_folder
from tests.pd.conftest import MakePd

FOLDER_ID = "0" * 32


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return the folder of all runs' files, as a server makes it."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / FILES_ID_NAME).write_text(FOLDER_ID)
    return folder


def test_folder_is_made_at_first_use(make_pd: MakePd, base: Path) -> None:
    pd = make_pd(files_dir=str(base), files_id=FOLDER_ID)
    assert "files" in dir(pd)
    assert not (base / "r").exists()
    assert pd.files == base / "r"
    assert stat.S_IMODE(pd.files.stat().st_mode) == 0o700
    (pd.files / "a").write_text("kept")
    assert (make_pd(files_dir=str(base), files_id=FOLDER_ID).files / "a").read_text() == "kept"


def test_path_in_the_folder_is_exported_as_text(make_pd: MakePd, base: Path) -> None:
    path = make_pd(files_dir=str(base), files_id=FOLDER_ID).files / "a"
    assert to_json({"at": path}, "$return_value") == {"at": str(base / "r" / "a")}


@pytest.mark.parametrize(
    "case", ["missing", "another of the same path", "without an id", "not configured"]
)
def test_kernel_that_does_not_see_the_folder(make_pd: MakePd, base: Path, case: str) -> None:
    id_file = base / FILES_ID_NAME
    if case == "another of the same path":
        id_file.write_text("1" * 32)
    elif case == "without an id":
        id_file.unlink()
    files_dir = "" if case == "not configured" else str(base / "x" if case == "missing" else base)
    pd = make_pd(files_dir=files_dir, files_id="" if not files_dir else FOLDER_ID)
    with pytest.raises(FolderError, match=r"set PDFlow\.files_dir to a folder that the server and"):
        pd.files  # noqa: B018
    assert not (base / "r").exists()


def test_after_the_step(make_pd: MakePd, base: Path) -> None:
    pd = make_pd(files_dir=str(base), files_id=FOLDER_ID)
    pd.scope.end()
    with pytest.raises(StepOverError, match=r"pd\.files was called after its step was over"):
        pd.files  # noqa: B018
    assert not (base / "r").exists()


def test_session_folder_is_made_again_if_it_was_removed() -> None:
    first = session_folder()
    assert session_folder() == first
    first.rmdir()
    assert session_folder().is_dir()


def test_session_folder_is_removed_with_its_process() -> None:
    code = (
        "import os, sys\n"
        "from jupyter_pdflow.pd.pd import session_folder\n"
        "(session_folder() / 'a').touch()\n"
        "if os.fork() == 0:\n    sys.exit()\n"
        "os.wait()\n"
        "assert (session_folder() / 'a').exists()\n"
        "print(session_folder())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("pdflow-")
    assert not folder.exists()
