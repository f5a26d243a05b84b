"""The imports that are read from source code."""

from __future__ import annotations

import pytest

from jupyter_pdflow.notebook.source import imports_of


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import helpers", {"helpers"}),
        ("import shop.orders as o, helpers, os.path", {"shop", "helpers"}),
        ("from shop.orders import total", {"shop"}),
        ("from helpers import *", {"helpers"}),
        ("def handler(pd):\n    import helpers\n    return helpers.x", {"helpers"}),
        (
            "if True:\n    try:\n        import fast\n    except ImportError:\n        import slow",
            {"fast", "slow"},
        ),
        ("import importlib\nimportlib.import_module('helpers.deep')", {"helpers"}),
        ("__import__('helpers')", {"helpers"}),
        ("%time import helpers", set()),
        ("!ls\nimport helpers\n%matplotlib inline", {"helpers"}),
        ("import json, math, collections.abc", set()),
        ("text = 'import helpers'  # import helpers", set()),
        ("from . import sibling\nfrom .deep import x", set()),
        ("def broken(:", set()),
        ("import helpers\npattern = '\\d'", {"helpers"}),
    ],
)
def test_names(source: str, names: set[str]) -> None:
    assert imports_of(source, "here") == (names, [])


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import importlib\nimportlib.import_module(name)", "import_module(…) in here"),
        ("__import__(f'plugin_{n}')", "__import__(…) in here"),
        ("import sys\nsys.path.append('src')", "sys.path.append(…) in here"),
        ("import sys\nsys.path.insert(0, '..')", "sys.path.insert(…) in here"),
        ("%run helpers.py", "%run in here"),
    ],
)
def test_imports_with_unknown_names_are_described(source: str, what: str) -> None:
    assert imports_of(source, "here").unknown == [what]
