"""Reading a notebook as setup and steps, and the refusals."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nbformat import v4

from jupyter_pdflow.exceptions import NotebookError
from jupyter_pdflow.notebook.source import read_source
from jupyter_pdflow.rules.workflow import Source, StepSource

HANDLER = "def handler(pd):\n    return 1"


def code(source: str, *tags: str) -> dict[str, Any]:
    return v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def step(name: str, *tags: str, body: str = HANDLER) -> dict[str, Any]:
    return code(f"%%step {name}\n{body}", *tags)


def notebook(*cells: Any, **metadata: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}


def test_setup_is_the_cells_above_the_first_step_and_tagged_cells():
    source = read_source(
        notebook(
            v4.new_markdown_cell("# Words"),
            code("import json\n"),
            code("explore()", "skip"),
            code(""),
            step("first"),
            code("more_exploring("),
            code("helper = 1", "setup"),
            code("both = 1", "setup", "skip"),
            step("left_out", "skip"),
            step("second"),
        )
    )

    assert source.setup == ("import json", "helper = 1")
    assert [step.name for step in source.steps] == ["first", "second"]
    assert source.kernel_name == "python3"


def test_a_skipped_step_does_not_end_the_setup():
    source = read_source(notebook(step("draft", "skip"), code("x = 1"), step("real")))

    assert source == Source(
        kernel_name="python3",
        setup=("x = 1",),
        steps=(StepSource(name="real", source=HANDLER),),
    )


def test_the_kernel_name_is_read_from_the_notebook():
    spec = {"name": "conda-env", "language": "python", "display_name": "Conda"}

    assert read_source(notebook(step("a"), kernelspec=spec)).kernel_name == "conda-env"


@pytest.mark.parametrize(
    "cell",
    [
        "\n\n  \n%%step a\ndef handler(pd): ...",
        "   %%step a\n   def handler(pd): ...",
        "%%step   a  \ndef handler(pd): ...\n\n",
        "%%step\ta\r\ndef handler(pd): ...",
    ],
)
def test_the_step_line_is_the_first_that_is_not_blank(cell: str):
    assert read_source(notebook(code(cell))).steps == (
        StepSource(name="a", source="def handler(pd): ..."),
    )


@pytest.mark.parametrize("cell", ["%%steps a", "x = '''\n%%step a'''", "# %%step a"])
def test_other_cells_are_not_steps(cell: str):
    assert len(read_source(notebook(step("b"), code(cell))).steps) == 1


@pytest.mark.parametrize(
    "body",
    [
        "async def handler(pd): await pd",
        "handler = print",
        "handler: object = print",
        "from jobs import run as handler",
        "from jobs import *",
        "if True:\n    def handler(pd): ...",
        "%run jobs.py",
        "%%time\ndef handler(pd): ...",
        "exec(code)",
        "x = !ls\nawait f()\ndef handler(pd): ...",
    ],
)
def test_handlers_in_every_form(body: str):
    assert read_source(notebook(step("a", body=body))).steps[0].source == body


NO_HANDLER = r"Step 'a' defines no handler: write `def handler\(pd\):` in its cell\."


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (notebook(), "no step: begin a code cell"),
        (notebook(code("x = 1"), step("a", "skip")), "no step: begin a code cell"),
        (notebook(step("a"), step("b"), step("a")), "named step 'a' .cells 1 and 3 .*own name"),
        (notebook(step("")), "Cell 1 of the notebook: A step cell has no name"),
        (notebook(step("two words")), "'two words' is not a step's name"),
        (notebook(code("x"), step("1st")), "Cell 2 of the notebook: '1st' is not a step's name"),
        (notebook(step("trigger")), "can't be named 'trigger'"),
        (notebook(step("a", body="")), NO_HANDLER),
        (notebook(step("a", body="def other(pd): ...")), NO_HANDLER),
        (notebook(step("a", body="def f():\n    handler = 1")), NO_HANDLER),
        (notebook(step("a", body="x = 1\ndef handler(:")), "'a' has a syntax error in line 3"),
        (notebook(step("a", body="def handler(pd): ...\nreturn 1")), "syntax error in line 3"),
        (notebook(step("a", body="x = '\0'")), "Step 'a' .* null bytes"),
        (notebook(code("x ="), step("a")), "Cell 1 of the notebook has a syntax error in line 1"),
        (notebook(step("a"), code("x =", "setup")), "Cell 2 of the notebook has a syntax error"),
        (notebook(step("a"), language_info={"name": "R"}), "this notebook's language is 'R'"),
        (
            notebook(step("a"), kernelspec={"name": "ir", "language": "R"}),
            "this notebook's language is 'R'",
        ),
        (notebook(step("a"), kernelspec={"name": 3}), "kernelspec has no usable name"),
        ({"nbformat": 3, "worksheets": []}, "nbformat 4"),
        ({"nbformat": 4, "cells": {}}, "no list of cells"),
        ({"nbformat": 4, "cells": ["x"]}, "Cell 1 is not a cell"),
        ({"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}, "source of cell 1"),
        (notebook(step("a", body="x = '\ud800'")), "half a surrogate pair"),
        ([], "nbformat 4"),
        (None, "nbformat 4"),
    ],
)
def test_each_refusal_names_the_cell_and_the_problem(bad: Any, message: str):
    with pytest.raises(NotebookError, match=message) as refused:
        read_source(bad)
    assert "\n" not in str(refused.value)


LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            notebook(*[code(f"x = '{LONG}'")] * 5, step("a")),
            "more than 500,000; move data to files",
        ),
        (notebook(step("a", body=f"{HANDLER}\n" * 20_000)), "move data to files"),
        (notebook(code("%time\n" * 1000), step("a")), "too many magics .* as cell 1"),
        (notebook(step("a", body=HANDLER + "\nx = !ls" * 1000)), "too many magics .* as cell 1"),
        (notebook(*[code("%time\n" * 400), code("print?\n" * 600)], step("a")), "as cell 2"),
    ],
)
def test_sources_that_take_minutes_to_parse_are_refused_at_once(bad: Any, message: str):
    with pytest.raises(NotebookError, match=message) as refused:
        read_source(bad)
    assert "\n" not in str(refused.value)


def test_cells_outside_production_may_be_large():
    huge = [code("%time\n" * 10_000, "skip"), v4.new_markdown_cell(LONG * 10)]
    outputs = v4.new_code_cell("x = 1", outputs=[v4.new_output("stream", text=LONG * 10)])
    source = read_source(notebook(*huge, outputs, step("a"), code(LONG * 10)))
    assert source.setup == ("x = 1",)


def test_lines_of_a_source_may_be_a_list():
    cell = {"cell_type": "code", "source": ["%%step a\n", "def handler(pd):\n", "    pass"]}

    assert read_source({"nbformat": 4, "cells": [cell]}).steps[0].source.endswith("    pass")


def test_a_notebook_written_by_nbformat_is_read():
    text = nbformat.writes(v4.new_notebook(cells=[code("x = 1"), step("a")]))

    assert read_source(nbformat.reads(text, as_version=4)).setup == ("x = 1",)


def test_warnings_of_the_source_are_not_raised():
    body = "def handler(pd):\n    return '\\d' is 1"

    assert read_source(notebook(step("a", body=body))).steps[0].source == body


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
SOURCES = st.one_of(
    JSON,
    st.lists(st.text()),
    st.text().map("%%step ".__add__),
    st.text(st.sampled_from("%!?\\\n()[]'\"# \tax=:,\x0c\x00")).map("%%step a\n".__add__),
    st.text(st.sampled_from("%!?\\\n()[]'\"# \tax=:,\x0c\x00")),
    st.just(f"%%step a\n{HANDLER}"),
)
METADATA = JSON | st.fixed_dictionaries(
    {}, optional={"tags": JSON, "kernelspec": JSON, "language_info": JSON, "x": JSON}
)
CELLS = JSON | st.fixed_dictionaries(
    {"cell_type": st.just("code") | JSON},
    optional={"source": SOURCES, "metadata": METADATA, "id": JSON},
)
NOTEBOOKS = JSON | st.fixed_dictionaries(
    {"nbformat": st.just(4) | JSON},
    optional={"cells": st.lists(CELLS) | JSON, "metadata": METADATA},
)


@settings(deadline=None)
@given(NOTEBOOKS)
@example(notebook(step("a", body="(" * 5000)))
@example(notebook(step("a", body="-" * 100_000 + "1")))
@example(notebook(step("a", body="x" + ".a" * 20_000)))
def test_any_json_is_read_or_refused(notebook_json: Any):
    with suppress(NotebookError):
        assert read_source(notebook_json).steps
