"""`to_json`: values that are converted, and errors about the others."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import pandas  # noqa: ICN001  pd is the handler's argument here
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import ExportError
from jupyter_pdflow.pd.exports import to_json


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 2


class Colour(enum.Enum):
    RED = "red"
    NONE = None


class Both(NamedTuple):
    a: Any
    b: Any


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1), {"x": 1, "y": 2}),
        (Colour.RED, "red"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        ((1, (2,)), [1, [2]]),
        (float("nan"), None),
        ({1: {None: True}}, {"1": {"null": True}}),
        (2**64 - 1, 2**64 - 1),
        (-(2**64), -(2**64)),
        (10**400, 10**400),
        ({2**70: Point(2**80, date(2026, 1, 2))}, {str(2**70): {"x": 2**80, "y": "2026-01-02"}}),
        ([2**70, {1: float("nan"), "b": True}, np.int64(3)], [2**70, {"1": None, "b": True}, 3]),
        (Both(1, Both(2, "b")), [1, [2, "b"]]),
        (Path("data") / "report.csv", f"data{os.sep}report.csv"),
        (PureWindowsPath("C:/data"), "C:\\data"),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([[1, 2], [3, 4]]).T, [[1, 3], [2, 4]]),
        (np.array(["a"]), ["a"]),
        (pandas.Timestamp("2026-01-02", tz="UTC"), "2026-01-02T00:00:00+00:00"),
        (pandas.NaT, None),
        (
            pandas.DataFrame({"n": [1], "at": [pandas.Timestamp("2026-01-02")]}).to_dict("records"),
            [{"n": 1, "at": "2026-01-02T00:00:00"}],
        ),
    ],
)
def test_converted(value: Any, plain: Any) -> None:
    assert to_json(value, "x") == plain
    assert to_json({"deep": [value]}, "x") == {"deep": [plain]}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@given(JSON)
def test_json_is_not_changed(value: Any) -> None:
    assert to_json(value, "x") == value


def circular() -> list[Any]:
    value: list[Any] = [1]
    value.append({"again": value})
    return value


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"rows": [1, 2, 3, {1}]},
            "x.rows[3] is a set, which JSON can't hold; use sorted() or list()",
        ),
        (
            {"two words": [b""]},
            (
                "x['two words'][0] is a bytes, which JSON can't hold; "
                "decode it, or save it below pd.files and export its path"
            ),
        ),
        ([Point(object())], "x[0].x is an object, which JSON can't hold"),
        ((1, 2j), "x[1] is a complex, which JSON can't hold; use [z.real, z.imag]"),
        ({"n": 2**4096}, "x.n is an integer beyond 4,096 bits; export its str()"),
        (
            {"price": Decimal("1.10")},
            (
                "x.price is a Decimal, which JSON can't hold; use str(), which keeps its digits, or "
                "float()"
            ),
        ),
        (Both(1, {2}), "x[1] is a set, which JSON can't hold; use sorted() or list()"),
        (len, "x is a builtin_function_or_method, which JSON can't hold"),
        (lambda: 1, "x is a function, which JSON can't hold; call it, and export what it returns"),
        ({"$a": "\ud800"}, "x.$a is a str with half a surrogate pair, which JSON can't hold"),
        ({"a": {(1, 2): 3}}, "x.a has a key that is a tuple, which JSON can't hold"),
        ({"a": {1: 2, "1": 3}}, "x.a has two keys that are the same in JSON, such as 1 and '1'"),
        (circular(), "x[1].again contains itself, which JSON can't hold"),
        (
            {"df": pandas.DataFrame({"a": [1]})},
            (
                'x.df is a DataFrame, which JSON can\'t hold; use .to_dict("records"), or save it '
                "below pd.files and export its path"
            ),
        ),
        (
            pandas.Series([1]),
            (
                "x is a Series, which JSON can't hold; use .to_dict(), which keeps its index, or "
                ".to_list()"
            ),
        ),
        ((n for n in ()), "x is a generator, which JSON can't hold; use list()"),
    ],
)
def test_refused_with_path_and_type(value: Any, message: str) -> None:
    with pytest.raises(ExportError) as caught:
        to_json(value, "x")
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)


NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        (NAN, "x is NaN"),
        ({"rows": [1, None, {"a b": -NAN}]}, "x.rows[2]['a b'] is NaN"),
        ([Point(1, float("inf")), NAN, NAN], "x[0].y (and 2 more) is NaN"),
        (np.array([[1.0, NAN]]), "x[0][1] is NaN"),
        ({"n": 2**70, "nan": np.float32("nan")}, "x.nan is NaN"),
        ({1: NAN}, "x['1'] is NaN"),
        ([NAN] * 2000, "x[0] (and more than 1000 more) is NaN"),
    ],
)
def test_warning_about_lost_numbers(value: Any, lost: str) -> None:
    warnings: list[str] = []
    to_json(value, "x", warnings.append)
    (text,) = warnings
    assert text == f"{lost} or infinite, which JSON can't hold, and became None."


@pytest.mark.parametrize("value", [None, [None], pandas.NaT, Colour.NONE, {"null": "null"}, 2**70])
def test_no_warning_if_no_number_is_lost(value: Any) -> None:
    warnings: list[str] = []
    to_json(value, "x", warnings.append)
    assert warnings == []


def test_nested_too_deep() -> None:
    assert json.dumps(to_json(nested(200), "x")).count("[") == 200
    with pytest.raises(ExportError, match="is nested more than 250 levels deep"):
        to_json(nested(2000), "x")
