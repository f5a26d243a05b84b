"""A run as an executed notebook: invalid outputs are replaced."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from jupyter_pdflow.server.api.models import INVALID_OUTPUT_TEXT, notebook_text
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
def test_an_invalid_output_is_replaced_and_the_others_stay(output: Any) -> None:
    run = RunDriver("a").run
    text = notebook_text(run, workflow("a"), {"a": [GOOD, output, GOOD]})
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    good, replaced, last = notebook.cells[-1].outputs
    assert good == last == GOOD
    assert (replaced.name, replaced.text) == ("stderr", INVALID_OUTPUT_TEXT)
