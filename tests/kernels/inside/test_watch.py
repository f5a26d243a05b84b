"""Which changes of the setup's objects are found."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from jupyter_pdflow.kernels.inside import watch as watch_module
from jupyter_pdflow.kernels.inside.watch import Change, Watch

SETUP = """
import collections, functools, array
import numpy as np
import pandas
from sklearn.linear_model import LinearRegression, SGDRegressor
import helpers

names = ["a", "b"]
config = {"rate": 0.1, "deep": {"list": [1, [2]]}}
tags = {"x", "y"}
queue = collections.deque([1])
counts = collections.Counter(a=1)
raw = bytearray(b"abc")
numbers = array.array("i", [1, 2])
pair = ([1], "fixed")
nan = [float("nan")]
X = np.arange(12.0).reshape(3, 4)
cells = np.array([[], {}], dtype=object)
large = np.zeros(3_000_000)
frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, 1.5, 2.5]})
series = frame["c"].copy()
kinds = pandas.Series(["u", "v"], dtype="category")
model = LinearRegression()
fitted = SGDRegressor(random_state=0).fit(X, [1, 2, 3])


class Account:
    total = 0
    log = []

    def __init__(self):
        self.balance = 1
        self._history = []


class Slotted:
    __slots__ = ("value",)

    def __init__(self):
        self.value = 1


class Special(dict):
    pass


account = Account()
slotted = Slotted()
special = Special(a=1)
special.note = "n"
bound = account.__init__


def remember(item, seen=[], *, options={}):
    seen.append(item)


def make_counter():
    count = 0

    def increment():
        nonlocal count
        count += 1
        return count

    return increment


counter = make_counter()
partial = functools.partial(max, [1])
cycle = []
cycle.append(cycle)
"""


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    helpers = ModuleType("helpers")
    exec("cache = {}\nlevel = 1\ndef get(): return level", helpers.__dict__)
    sys.modules["helpers"] = helpers
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(SETUP, namespace)
    yield namespace
    del sys.modules["helpers"]


def watching(names: dict[str, Any], **options: Any) -> Watch:
    limits = {
        "add_seconds": 60.0,
        "compare_seconds": 60.0,
        **options,
    }  # a slow machine may reach them
    found = Watch(lambda name: name in ("__main__", "helpers"), **limits)
    found.add(names, "the setup")
    assert found.changes() == []
    return found


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("names.append('c')", "names"),
        ("names[0] = 'b'", "names"),
        ("names.reverse()", "names"),
        ("config['rate'] = 0.2", "config"),
        ("config['new'] = 1", "config"),
        ("del config['rate']", "config"),
        ("config['deep']['list'][1].append(3)", "config['deep']['list'][1]"),
        ("tags.add('z')", "tags"),
        ("tags.discard('x'); tags.add('w')", "tags"),
        ("queue.append(2)", "queue"),
        ("counts['a'] += 1", "counts"),
        ("raw[0] = 0", "raw"),
        ("numbers[1] = 3", "numbers"),
        ("pair[0].append(2)", "pair[0]"),
        ("X[1, 2] = 99", "X"),
        ("X.shape = (4, 3)", "X"),
        ("X.T[0, 0] = 5", "X"),
        ("cells[0].append(1)", "cells[0]"),
        ("cells[1] = 5", "cells"),
        ("large[0] = 1", "large"),
        ("large[-1] = 1", "large"),
        ("large += 1", "large"),
        ("frame['d'] = 1", "frame"),
        ("frame.loc[1, 'a'] = 7", "frame"),
        ("frame.loc[1, 'b'] = 'w'", "frame"),
        ("frame.iloc[0, 2] = 9.5", "frame"),
        ("frame.pop('a')", "frame"),
        ("frame.columns = ['x', 'y', 'z']", "frame"),
        ("series.iloc[0] = 9.5", "series"),
        ("kinds.iloc[0] = 'v'", "kinds"),
        ("model.fit([[1], [2]], [1, 2])", "model"),
        ("model.set_params(fit_intercept=False)", "model"),
        ("fitted.partial_fit(X, [3, 2, 1])", "fitted"),
        ("fitted.coef_[0] = 3", "fitted.coef_"),
        ("account.balance += 5", "account"),
        ("account._history.append(1)", "account._history"),
        ("account.new = 1", "account"),
        ("slotted.value = 2", "slotted"),
        ("special.note = 'm'", "special"),
        ("special['a'] = 2", "special"),
        ("Account.total += 1", "Account"),
        ("Account.log.append(1)", "Account.log"),
        ("Account.method = lambda self: 1", "Account"),
        ("bound.__self__.balance = 7", "account"),
        ("remember('x')", "remember.__defaults__[0]"),
        ("remember.__kwdefaults__['options']['a'] = 1", "remember.__kwdefaults__['options']"),
        ("remember.calls = 1", "remember"),
        ("counter()", "counter"),
        ("partial.args[0].append(2)", "partial[0]"),
        ("helpers.cache['a'] = 1", "helpers.cache"),
        ("helpers.level = 2", "helpers"),
    ],
)
def test_a_change_is_found(names: dict[str, Any], code: str, path: str) -> None:
    watch = watching(names)
    exec(code, names)
    (change,) = watch.changes()
    name = path.partition(".")[0].partition("[")[0]
    assert change == Change(name, "the setup", path)


@pytest.mark.parametrize(
    "code",
    [
        "names.append('c'); names.pop()",
        "names[0] = ''.join(['a'])",
        "config['rate'] = float('0.1')",
        "nan[0] = float('nan')",
        "new = [1]; new.append(2)",
        "names = ['other']",
        "frame.sum(); frame[frame.a > 1]; frame.loc[1]; frame.describe(); frame.index.is_unique",
        "other = frame.copy(); other.loc[0, 'a'] = 5",
        "fitted.predict(X)",
        "model.get_params()",
        "X + 1; X.T; X.copy()[0] = 1",
        "import json.tool, colorsys, helpers",
        "account.balance, Account.total, helpers.get()",
        "repr(account); str(config); sorted(tags)",
        "np.random.rand(); np.linalg.inv(np.eye(2))",
    ],
)
def test_code_that_changes_nothing_is_not_reported(names: dict[str, Any], code: str) -> None:
    watch = watching(names)
    exec(code, dict(names))
    assert watch.changes() == []


def test_names_that_are_kept_may_change(names: dict[str, Any]) -> None:
    watch = watching(names, keep=["config", "account"])
    exec("config['a'] = 1; account.balance = 9; names.append(1)", names)
    assert [change.name for change in watch.changes()] == ["names"]


def test_private_attributes_of_a_librarys_objects_may_change(names: dict[str, Any]) -> None:
    exec("import requests; session = requests.Session()", names)
    watch = watching(names)
    exec("session.cookies.set('a', 'b'); session.adapters['https://']._private = 1", names)
    assert watch.changes() == []
    exec("session.headers['a'] = 'b'; session.verify = False", names)
    assert [change.name for change in watch.changes()] == ["session"]


def test_names_added_later_have_their_own_maker(names: dict[str, Any]) -> None:
    watch = watching(names)
    watch.add({"later": (later := [1])}, "step load")
    later.append(2)
    assert [(change.name, change.maker) for change in watch.changes()] == [("later", "step load")]


def test_objects_that_cant_be_described_are_left_out(names: dict[str, Any]) -> None:
    exec(
        dedent("""
        class Odd:
            def __getattr__(self, name):
                raise RuntimeError(name)
            @property
            def __dict__(self):
                raise RuntimeError("no")
            def __eq__(self, other):
                raise RuntimeError("no")
            __hash__ = None
        odd = Odd()
        holder = [odd]
        """),
        names,
    )
    watch = watching(names)
    exec("holder[0] = Odd()", names)
    assert [change.name for change in watch.changes()] == ["holder"]


def test_number_of_watched_objects_is_limited(names: dict[str, Any]) -> None:
    names["many"] = [[number] for number in range(100_000)]
    watch = watching(names)
    assert len(watch._watched) <= watch_module.OBJECTS_LIMIT
    names["names"].append("c")
    assert [change.name for change in watch.changes()] == ["names"]


def test_time_limits_are_cpu_time_as_the_machine_may_be_busy() -> None:
    class Waiting(dict[str, int]):
        def __iter__(self) -> Iterator[str]:
            time.sleep(0.3)
            return super().__iter__()

        def keys(self) -> Any:
            time.sleep(0.3)
            return super().keys()

    many = {f"name_{number}": [] for number in range(2 * watch_module.CLOCK_EVERY)}
    names: dict[str, Any] = {"waiting": Waiting(a=1), **many, "last": []}
    watch = watching(names, add_seconds=0.2, compare_seconds=0.2)
    names["last"].append(1)
    assert [change.name for change in watch.changes()] == ["last"]


def test_generators_of_random_numbers_are_found(names: dict[str, Any]) -> None:
    exec(
        "import random; generators = {'a': random.Random(1), 'b': np.random.default_rng(1)};"
        "old = np.random.RandomState(1)",
        names,
    )
    watch = watching(names)
    exec("generators['a'].random(); generators['b'].random(); old.rand()", names)
    assert watch.changes() == []
    assert sorted(type(generator).__name__ for generator in watch.random_generators) == [
        "Generator",
        "Random",
        "RandomState",
    ]
