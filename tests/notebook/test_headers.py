"""A step's header counts on the first line of a cell; anywhere else a deploy refuses it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import v4

from jupyter_pdflow.exceptions import NotebookError
from jupyter_pdflow.notebook.source import read_source
from jupyter_pdflow.notebook.steps import find_headers
from tests.servers import JupyterServer, write_notebook

HANDLER = "def handler(pd):\n    pd.flow.suspend()"
STEP = f"%%step a\n{HANDLER}"
ORDER, PAY = f"%%step order\n{HANDLER}", f"%%step pay\n{HANDLER}"

MISPLACED = {
    "below a comment": (f"# approval\n{STEP}", 2),
    "below a docstring": (f'"""Ask\nfirst."""\n\n{STEP}', 4),
    "below an import": (f"import os\n{STEP}", 2),
    "below %%time": (f"%%time\n{STEP}", 2),
    "below %%capture and %%time": (f"\n%%capture\n%%time -n\n\n{STEP}", 5),
    "below a magic": (f"%matplotlib inline\n{STEP}", 2),
    "below a magic of several lines": (f"%time \\\n  x\n!echo \\\n  y\n{STEP}", 5),
    "below %%bash": (f"%%bash\necho don't\n{STEP}", 3),
    "below %%writefile": (f"%%writefile steps.py\n{STEP}", 2),
    "below %%html": (f"%%html\n<p>\n{STEP}", 3),
    "below an open bracket": (f"x = (\n{STEP}", 2),
    "below an open string": (f"'''\n{STEP}", 2),
    "in a cell that does not parse": ("x = 1\n%%step a\ndef handler(pd)\n  pass", 2),
    "in a block": ("if True:\n  %%step a\n  x = 1", 2),
    "in a block without indentation": (f"if True:\n{STEP}", 2),
    "indented more than the rest": (f"x = 1\n  {STEP}", 2),
    "indented alone": ("   %%step a\ndef handler(pd): pass", 1),
    "a second one": (f"{ORDER}\n{STEP}", 4),
    "a second one below blank lines": (f"\n\n{ORDER}\n{STEP}", 6),
    "a second one below %%time": (f"%%step order\n%%time\n{STEP}", 3),
    "a second one below an open bracket": (f"%%step order\nx = (\n{STEP}", 3),
    "one %": (f"%step a\n{HANDLER}", 1),
    "one % and a blank": (f"% step a\n{HANDLER}", 1),
    "a blank": (f"%% step a\n{HANDLER}", 1),
    "a blank between": (f"% %step a\n{HANDLER}", 1),
    "three %": (f"%%%step a\n{HANDLER}", 1),
    "capitals": (f"%%STEP a\n{HANDLER}", 1),
    "a capital": (f"%%Step approve\n{HANDLER}", 1),
    "a colon": (f"%%step: a\n{HANDLER}", 1),
    "brackets": (f"%%step(a)\n{HANDLER}", 1),
    "an invisible character": (f"%%\u200bstep a\n{HANDLER}", 1),
    "a byte order mark": (f"\ufeff{STEP}", 1),
    "a no-break space": (f"\u00a0{STEP}", 1),
    "fullwidth characters": (f"\uff05\uff05step a\n{HANDLER}", 1),
    "a prompt": (f">>> {STEP}", 1),
    "a prompt of IPython's": ("In [1]: %%step a\n   ...: def handler(pd): pass", 1),
    "an assignment": ("x = %step a", 1),
    "behind another magic": (f"x = 1\n%time %step a\n{HANDLER}", 2),
    "behind a cell magic": (f"%%capture %%step a\n{HANDLER}", 1),
    "over two lines": (f"%\\\nstep a\n{HANDLER}", 1),
    "written out": (f"x = 1\nget_ipython().run_cell_magic('step', 'a', {HANDLER!r})", 2),
    "written out by name": ("get_ipython().run_line_magic(line='a', magic_name='%step')", 1),
}

NOT_HEADERS = {
    "a string": 's = """\n%%step a\n"""',
    "a string below a cell magic": '%%time\ns = """\n%%step a\n"""',
    "a comment": "# %%step a",
    "a comment in another language": "%%bash\n# %%step a\necho",
    "a modulo in brackets": "x = (10\n  % step)",
    "a modulo behind a backslash": "x = 10 \\\n  % step",
    "a modulo in code that can't be parsed": "%%bash\npython -c 'print(10\n  % step)'",
    "formatting": "for step in range(3): print('%d' % step)",
    "help": "%%step?",
    "help in front": "?%%step",
    "more help": "%step??",
    "help by a magic": "%pdoc %step",
    "a string for another magic": "%time '%step a'",
    "help above code that can't be parsed": "%%step?\nx = (",
    "other magics": "%steps\n%stepwise a\n%time step",
    "another cell magic": "%%steps a\nx = 1",
    "an argument": '%pdflow event {"step": 1}',
    "a shell command": "!echo %%step a",
    "printed": "print('%%step a')",
    "in HTML": "%%html\n<p>%%step a</p>",
    "code that can't be parsed": "explore(",
}


def code(source: str, *tags: str) -> dict[str, Any]:
    return v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def notebook(*cells: Any) -> dict[str, Any]:
    cells = tuple(code(cell) if isinstance(cell, str) else cell for cell in cells)
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}


@pytest.mark.parametrize(("cell", "line"), MISPLACED.values(), ids=MISPLACED)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_misplaced_header_is_refused_with_its_cell_and_line(cell: str, line: int, at: int):
    steps = [f"%%step first\n{HANDLER}", f"%%step last\n{HANDLER}"]
    cells = [v4.new_markdown_cell("%%step words"), *steps[:at], cell, *steps[at:]]

    with pytest.raises(NotebookError) as refused:
        read_source(notebook(*cells))
    message = str(refused.value)
    assert message.startswith(f"Cell {at + 2} of the notebook has a step's header in line {line} ")
    assert message.endswith(
        "Write `%%step NAME`, with nothing in front of it, as the first line of a cell, or give this "
        "one the tag `skip`."
    )
    assert "\n" not in message


@pytest.mark.parametrize("cell", NOT_HEADERS.values(), ids=NOT_HEADERS)
def test_other_text_is_not_a_header(cell: str):
    assert find_headers(cell, ("step",)) == []
    assert [step.name for step in read_source(notebook(ORDER, cell)).steps] == ["order"]


@pytest.mark.parametrize("cell", [cell for cell, _ in MISPLACED.values()], ids=MISPLACED)
def test_a_skipped_cell_may_contain_anything(cell: str):
    cells = [code(cell, "skip"), ORDER, code(cell, "other", "skip"), PAY]

    assert [step.name for step in read_source(notebook(*cells)).steps] == ["order", "pay"]


def test_markdown_and_raw_cells_may_contain_anything():
    words, raw = v4.new_markdown_cell(f"x\n{STEP}"), v4.new_raw_cell(f"x\n{STEP}")

    assert len(read_source(notebook(words, ORDER, raw)).steps) == 1


def test_other_names_are_found_in_the_same_way():
    cell = "import os\n%trigger every 15m\n%%capture\n% Queue fast\n'''\n%trigger x\n'''"
    found = find_headers(cell, ("trigger", "queue"))

    assert [(header.name, header.line) for header in found] == [("trigger", 2), ("queue", 4)]
    assert found[1].text == "% Queue fast"
    assert find_headers(f"%%time\n{cell}", ("queue",), bodies=False) == []


def test_a_long_line_is_shortened():
    (header,) = find_headers(f"x = 1\n%%step {'a' * 500}", ("step",))
    assert len(header.text) < 70


LARGE = {
    "percent signs": "%" * 2_000_000,
    "lines of percent signs": "%%\n" * 700_000,
    "percent signs and blanks": "% " * 1_000_000,
    "continued percent signs": "%\\\n" * 700_000,
    "equals signs": "= " * 1_000_000,
    "blank lines": "x" + "\n" * 2_000_000,
    "wide blanks": "\u3000" * 1_000_000,
    "formatting": "print('%d' % step)\n" * 100_000,
    "magics": "%steps\n" * 100_000,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("cell", LARGE.values(), ids=LARGE)
def test_large_cells_outside_production_are_read_quickly(cell: str):
    assert len(read_source(notebook(ORDER, *[cell] * 3)).steps) == 1


@pytest.mark.parametrize(
    "cell",
    ["%time\n" * 2_000 + STEP, "%%time\n" * 2_000 + STEP, f"x = 1\n{STEP}\n" + "x" * 600_000],
)
def test_cells_that_take_long_to_parse_are_refused(cell: str):
    with pytest.raises(NotebookError, match=r"give .* the tag `skip`"):
        read_source(notebook(ORDER, cell))


SOURCES = st.text(st.sampled_from("%%%!?\\\n\n\r()[]'\"# \tsx=:,>.\x0c\u2028\u200b"), max_size=40)


@given(SOURCES, SOURCES)
def test_the_line_of_a_header_contains_it(above: str, below: str):
    cell = f"{above}\n%%step a\n{below}"
    lines = cell.splitlines()

    for header in find_headers(cell, ("step",)):
        assert "step" in lines[header.line - 1]


# --- through a server ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        MISPLACED["below a comment"],
        MISPLACED["below %%capture and %%time"],
        MISPLACED["a capital"],
        MISPLACED["a second one"],
    ],
)
def test_a_deploy_is_refused(server: JupyterServer, cell: str, line: int):
    write_notebook(server.root / "vanishing.ipynb", [ORDER, cell, PAY])
    answer = server.api("POST", "/workflows", {"path": "vanishing.ipynb"})

    assert answer.status_code == 422
    assert answer.json()["reason"] == "bad_notebook"
    where = f"Cell 2 of the notebook has a step's header in line {line} "
    assert answer.json()["message"].startswith(where)
