"""A run as an executed notebook, whatever its outputs are."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from jupyter_pdflow.server.api.models import NOT_SHOWN, executed_notebook, written
from tests.rules.support import RunDriver, workflow

GOOD = {"output_type": "stream", "name": "stdout", "text": "good"}


@pytest.mark.parametrize(
    "output",
    [
        None,
        3,
        "text",
        [],
        {},
        {"output_type": None},
        {"output_type": "bogus"},
        {"output_type": "stream"},
        {"output_type": "stream", "name": "stdout", "text": {"a": 1}},
        {"output_type": "display_data", "data": {"text/plain": 5}, "metadata": {}},
        {"output_type": "display_data", "data": [], "metadata": {}},
        {"output_type": "error", "ename": "E", "evalue": "e", "traceback": "no list"},
        {"output_type": "execute_result", "data": {}, "metadata": {}, "execution_count": "1"},
        {**GOOD, "more": 1},
    ],
)
def test_an_output_that_is_none_does_not_cost_the_others(output: Any) -> None:
    run = RunDriver("a").run
    text = written(executed_notebook(run, workflow("a"), {"a": [GOOD, output, GOOD]}))
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    good, odd, last = notebook.cells[-1].outputs
    assert good == last == GOOD
    assert (odd.name, odd.text) == ("stderr", NOT_SHOWN)
