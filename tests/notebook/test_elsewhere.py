"""Test mode in converters, in a terminal and where no cell can be awaited."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbconvert
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode, v4

from tests.notebook.support import NOTICE

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
def stopped() -> NotebookNode:
    return run_all(LOAD, PAUSE, AFTER)


def test_run_all_stops_at_a_pause_without_a_traceback(stopped: NotebookNode):
    _, paused, after = stopped.cells

    assert [output.output_type for output in paused.outputs] == ["stream", "display_data"]
    assert paused.outputs[1].data["text/plain"] == NOTICE
    assert after.outputs == []


def test_the_notice_reads_the_same_when_converted(stopped: NotebookNode):
    without_widgets = NotebookNode(stopped, metadata={})

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


def terminal(tmp_path: Path, *cells: str) -> str:
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
    said = terminal(tmp_path, LOAD, PAUSE, AFTER)

    assert said.splitlines()[:2] == ["asked", NOTICE]
    assert "Traceback" not in said


def test_a_terminal_shows_exports_and_errors(tmp_path: Path):
    said = terminal(
        tmp_path,
        LOAD,
        "%%step a\ndef handler(pd): return 7",
        "%%step b\ndef handler(pd): return 1 / 0",
        "%%step trigger\ndef handler(pd): pass",
        "%pdflow",
    )

    assert "Exports of step a:\n  $return_value = 7" in said
    assert "ZeroDivisionError: division by zero" in said
    assert "in handler(pd)" in said
    assert "StepError: A step can't be named 'trigger'" in said
    assert "This session is in test mode." in said
    assert "jupyter_pdflow/" not in said


def test_the_magic_itself_works_where_nothing_is_awaited(tmp_path: Path):
    body = "async def handler(pd): return 7"
    said = terminal(
        tmp_path,
        LOAD,
        "%autoawait off",
        f"%%step a\n{body}",
        f"get_ipython().run_cell_magic('step', 'b', {body!r})",
    )

    assert "Exports of step a:\n  $return_value = 7" in said
    assert "Exports of step b:\n  $return_value = 7" in said


def test_typing_a_step_in_a_terminal_goes_on_until_a_blank_line(tmp_path: Path):
    said = terminal(
        tmp_path,
        LOAD,
        "ask = get_ipython().check_complete",
        "print(ask('%%step a\\n')[0], ask('%%step a\\ndef handler(pd): pass\\n\\n')[0])",
    )

    assert "incomplete complete" in said
