"""The options of a workflow that its setup states: ``%queue``."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_pdflow.exceptions import NotebookError
from jupyter_pdflow.notebook.options import check_queue
from jupyter_pdflow.notebook.source import read_source
from jupyter_pdflow.rules.workflow import version_of

STEP = "%%step go\ndef handler(pd):\n    pass"


def notebook(*cells: str, tags: dict[int, list[str]] | None = None) -> Any:
    made = new_notebook(cells=[new_code_cell(source) for source in cells])
    for number, given in (tags or {}).items():
        made.cells[number].metadata["tags"] = given
    nbformat.validate(made)
    return made


@pytest.mark.parametrize(
    "cells",
    [
        ("%load_ext jupyter_pdflow\n%queue gpu", STEP),
        ("import math", "# where it runs\n%queue  gpu ", STEP),
        ("%%time\n%queue gpu", STEP),
        ('text = """\n%queue other\n"""\n%queue gpu', STEP),
    ],
)
def test_the_setup_names_a_queue(cells: tuple[str, ...]) -> None:
    assert read_source(notebook(*cells)).queue == "gpu"


def test_a_queue_can_be_named_below_with_a_tag() -> None:
    made = notebook(STEP, "%queue gpu", tags={1: ["setup"]})
    assert read_source(made).queue == "gpu"


def test_without_one_it_is_the_default_and_the_version_stays() -> None:
    source = read_source(notebook("import math", STEP))
    assert source.queue == "default"
    named = read_source(notebook("%queue default", "import math", STEP))
    assert named.queue == "default"
    other = read_source(notebook("%queue gpu", "import math", STEP))
    assert version_of(other) != version_of(named)


@pytest.mark.parametrize(
    "source",
    [
        "%Queue gpu",
        "%%queue gpu",
        "% queue gpu",
        "%queue",
        "%queue {name}",
        "%queue $name",
        "%queue two words",
        "%queue -x",
        "if True:\n    %queue gpu",
        "get_ipython().run_line_magic('queue', 'gpu')",
    ],
)
def test_one_that_would_not_count_is_refused(source: str) -> None:
    with pytest.raises(NotebookError, match="Cell 1 of the notebook"):
        read_source(notebook(source, STEP))


def test_one_in_a_step_or_below_is_refused() -> None:
    with pytest.raises(NotebookError, match=r"Cell 1 .* line 2"):
        read_source(notebook("%%step go\n%queue gpu\ndef handler(pd): pass"))
    with pytest.raises(NotebookError, match="Cell 2"):
        read_source(notebook(STEP, "%queue gpu"))
    assert read_source(notebook(STEP, "%queue gpu", tags={1: ["skip"]})).queue == "default"


def test_two_are_refused() -> None:
    with pytest.raises(NotebookError, match=r"Cell 2 .* again"):
        read_source(notebook("%queue a", "%queue b", STEP))


def test_what_is_no_name_is_refused_in_a_session() -> None:
    assert check_queue(" gpu ") == "gpu"
    with pytest.raises(NotebookError, match="%queue NAME"):
        check_queue("two words")
