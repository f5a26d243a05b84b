"""Test mode in converters, in a terminal and without autoawait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbconvert
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode, v4

from tests.notebook.testmode_helpers import NOTICE

pytestmark = pytest.mark.server

LOAD = "%load_ext jupyter_pdflow"
PAUSE = "%%step ask\nasync def handler(pd):\n    print('asked')\n    pd.flow.suspend()"
AFTER = "print('went on')"


def run_all(*cells: str) -> NotebookNode:
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    with pytest.raises(CellExecutionError):
        NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    return notebook


@pytest.fixture(scope="module")
def executed() -> NotebookNode:
    return run_all(LOAD, PAUSE, AFTER)


def test_run_all_stops_at_a_pause_without_a_traceback(executed: NotebookNode):
    _, paused, after = executed.cells

    assert [output.output_type for output in paused.outputs] == ["stream", "display_data"]
    assert paused.outputs[1].data["text/plain"] == NOTICE
    assert after.outputs == []


def test_converters_show_the_notice(executed: NotebookNode):
    without_widgets = NotebookNode(executed, metadata={})

    html, _ = nbconvert.HTMLExporter().from_notebook_node(without_widgets)
    markdown, _ = nbconvert.MarkdownExporter().from_notebook_node(without_widgets)
    assert f"<p>{NOTICE}</p>" in html
    assert NOTICE in markdown


def test_the_state_of_the_widgets_is_kept_for_converters():
    notebook = v4.new_notebook(cells=[v4.new_code_cell(LOAD), v4.new_code_cell(PAUSE)])
    NotebookClient(notebook, kernel_name="python3", timeout=60, allow_errors=True).execute()
    html, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)

    assert "this may be due to `pd.flow.suspend()` usage (not supported in test)" in html
    assert "as if resumed with" in html


def run_in_terminal(tmp_path: Path, *cells: str) -> str:
    """Run cells in a terminal IPython, as typed one after another."""
    run = [f"get_ipython().run_cell({cell!r})" for cell in cells]
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=nocolor", "-c", "\n".join(run)],
        env={"IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_terminal_shows_the_notice_in_plain_text(tmp_path: Path):
    output = run_in_terminal(tmp_path, LOAD, PAUSE, AFTER)

    assert output.splitlines()[1:3] == ["asked", NOTICE]
    assert "Traceback" not in output


def test_a_terminal_shows_exports_and_errors(tmp_path: Path):
    output = run_in_terminal(
        tmp_path,
        LOAD,
        "%%step a\ndef handler(pd): return 7",
        "%%step b\ndef handler(pd): return 1 / 0",
        "%%step trigger\ndef handler(pd): pass",
        "%pdflow",
    )

    assert "Exports of step a:\n  $return_value = 7" in output
    assert "ZeroDivisionError: division by zero" in output
    assert "in handler(pd)" in output
    assert "StepError: A step can't be named 'trigger'" in output
    assert "This session is in test mode." in output
    assert "jupyter_pdflow/" not in output


def test_the_magic_works_without_autoawait(tmp_path: Path):
    body = "async def handler(pd): return 7"
    output = run_in_terminal(
        tmp_path,
        LOAD,
        "%autoawait off",
        f"%%step a\n{body}",
        f"get_ipython().run_cell_magic('step', 'b', {body!r})",
    )

    assert "Exports of step a:\n  $return_value = 7" in output
    assert "Exports of step b:\n  $return_value = 7" in output


def test_a_step_typed_in_a_terminal_is_complete_at_a_blank_line(tmp_path: Path):
    output = run_in_terminal(
        tmp_path,
        LOAD,
        "check = get_ipython().check_complete",
        "print(check('%%step a\\n')[0], check('%%step a\\ndef handler(pd): pass\\n\\n')[0])",
    )

    assert "incomplete complete" in output
