"""A session refuses a step's header in a place where production would not find it."""

from __future__ import annotations

import pytest

from tests.notebook.conftest import Kernel

STEP = "%%step a\ndef handler(pd):\n    print('ran')"
MISPLACED = {
    "below a comment": (f"# approval\n{STEP}", 2),
    "below a docstring": (f'"""Ask\nfirst."""\n\n{STEP}', 4),
    "below an import": (f"import os\n{STEP}", 2),
    "one %": (STEP.removeprefix("%"), 1),
    "a blank": (STEP.replace("%%", "%% "), 1),
    "capitals": (STEP.replace("step", "STEP"), 1),
    "a second one": (f"%%step b\ndef handler(pd):\n    print('ran')\n{STEP}", 4),
    "a prompt": (f">>> {STEP}", 1),
}


@pytest.mark.parametrize(("cell", "line"), MISPLACED.values(), ids=MISPLACED)
def test_a_misplaced_header_is_refused(kernel: Kernel, cell: str, line: int):
    ran = kernel.run(cell)

    assert ran.error is not None
    (line_shown,) = ran.error["traceback"]
    assert line_shown.startswith(
        f"StepError: This cell has a step's header in line {line} that would"
    )
    assert (
        "Write `%%step NAME`, with nothing in front of it, as the first line of a cell"
        in line_shown
    )
    assert ran.stdout == ""


@pytest.mark.parametrize("above", ["%%time", "%%capture", "%%time\n%%capture", "%%time\n# x"])
def test_a_step_below_a_magic_does_not_run(kernel: Kernel, above: str):
    ran = kernel.run(f"{above}\n{STEP}")

    assert ran.error is not None
    assert ran.error["evalue"].startswith("What is below this cell magic has a step's header")
    assert "ran" not in ran.stdout


@pytest.mark.parametrize(
    ("cell", "stdout"),
    [
        ("x = (10\n  % 3)\nprint(x)", "1\n"),
        ("s = '''\n%%step a\n'''\nprint(len(s))", "10\n"),
        ("%%bash\ncat <<E\n%%step a\nE", "%%step a\n"),
        ("%%step a\n%%time\ndef handler(pd): pass\nprint('body')", "body"),
        (f"get_ipython().run_cell_magic('step', 'a', {STEP[9:]!r})", "ran\n"),
    ],
)
def test_other_cells_run_unchanged(kernel: Kernel, cell: str, stdout: str):
    ran = kernel.run(cell)

    assert ran.error is None
    assert stdout in ran.stdout
