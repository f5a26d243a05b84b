"""The title of a run."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.rules.run import EmailRequest
from jupyter_pdflow.rules.titles import TITLE_LIMIT, title_of_event
from tests.rules.support import RunDriver, suspend


@pytest.mark.parametrize(
    ("event", "title"),
    [
        ({"amount": 12, "customer": "Ada"}, "12, Ada"),
        ({"a": 1, "b": 2.5, "c": "x", "d": "fourth"}, "1, 2.5, x"),
        ({"body": {"nested": 1}, "ids": [1], "ok": True, "none": None, "name": "Ada"}, "Ada"),
        ({"text": "x" * 41, "short": "x" * 40}, "x" * 40),
        ({"blank": " \n", "name": "  Ada\n\tLovelace "}, "Ada Lovelace"),
        (["INV-7", 3], "INV-7, 3"),
        ("a report\nof two lines", "a report of two lines"),
        (7, "7"),
        (0, "0"),
        ({}, None),
        ([], None),
        ("", None),
        (None, None),
        (False, None),
        ({"deep": {"er": "x"}}, None),
    ],
)
def test_title_of_an_event(event: Any, title: str | None) -> None:
    assert title_of_event(event) == title


def test_a_title_is_one_short_line() -> None:
    title = title_of_event("word " * 10_000)
    assert title is not None
    assert len(title) <= TITLE_LIMIT
    assert title.endswith("word…")
    assert title_of_event("x" * TITLE_LIMIT) == "x" * TITLE_LIMIT


def test_a_title_has_no_control_characters() -> None:
    assert title_of_event("a\0b\x1b[31mc\u202ed") == "ab[31mcd"
    assert title_of_event({"a": "\0\x1b", "b": "x"}) == "x"


def emails(*subjects: str) -> dict[str, list[EmailRequest]]:
    return {"emails": [EmailRequest(subject=subject) for subject in subjects]}


def test_the_newest_subject_is_the_title() -> None:
    driver = RunDriver("a", "b", "c", event={"amount": 12})
    assert driver.run.title == "12"
    assert driver.step(**emails("First", "Please\napprove")).title == "Please approve"
    assert driver.step(**suspend()).title == "Please approve"
    driver.resume()
    assert driver.step(**emails("Done")).title == "Done"


def test_a_subject_that_is_blank_is_no_title() -> None:
    driver = RunDriver(event="report")
    assert driver.step(**emails(" ")).title == "report"
    assert RunDriver().step(**emails("x" * 500)).title == "x" * (TITLE_LIMIT - 1) + "…"


def test_a_run_without_values_has_no_title() -> None:
    assert RunDriver(event={}).step().title is None
