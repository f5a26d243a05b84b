"""Patterns of forms: which ones are accepted, what they match, and that none takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import InvalidAnswerError
from jupyter_pdflow.rules.forms import answer_of, check_form
from jupyter_pdflow.rules.patterns import PATTERN_LIMIT, TEXT_LIMITS, compiled, text_limit


@pytest.mark.parametrize(
    ("pattern", "choices", "good", "bad"),
    [
        (r"^[A-Z]{2}\d{4}$", 0, "AB1234", "AB12345"),
        (r"^\d{5}(-\d{4})?$", 1, "12345-6789", "12345-"),
        (r"^INV-\d+$", 1, "INV-7", "INV-\u0663"),
        (r"^(DE|AT|CH)[0-9]+$", 3, "AT7", "FR7"),
        (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", 3, "a@b.c", "a@b"),
        (r"^(?:[A-Z]{2,3}|x)$", 2, "ABC", "ABCD"),
        (r"\.\*\[\]$", 0, "x.*[]", "x.*[]\n"),
        (r"[\]\\^-]", 0, "]", "x"),
        (r"\bcat\b", 0, "a cat.", "cats"),
        ("", 0, "", None),
    ],
)
def test_accepted(pattern: str, choices: int, good: str, bad: str | None) -> None:
    assert text_limit(pattern) == TEXT_LIMITS[choices]
    assert compiled(pattern).search(good)
    assert bad is None or not compiled(pattern).search(bad)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a+)+$", "repeats a group"),
        ("(a|a)*$", "repeats a group"),
        ("(?:a{1,3}){9}", "repeats a group"),
        ("((a?)){2,}", "repeats a group"),
        ("a*a*a*a*b", r"has more than 3 of \* \+ \? \{m,n\} \|"),
        ("a|b|c|d|e", "has more than 3 of"),
        (r"(a)\1", "has a part that is not possible here"),
        ("[[a]]", "has a part that is not possible here"),
        ("[a--b]", "has a part that is not possible here"),
        ("[a&&b]", "has a part that is not possible here"),
        ("a{1000}", "has a part that is not possible here"),
        ("a{", "has a part that is not possible here"),
        (r"\p{L}", "has a part that is not possible here"),
        ("(?=a)b", "has a group that starts with"),
        ("(?i)a", "has a group that starts with"),
        ("(?P<x>a)", "has a group that starts with"),
        ("(?#a)", "has a group that starts with"),
        ("(a", "is no regular expression: missing"),
        ("a)", "is no regular expression: unbalanced parenthesis"),
        ("a**", "is no regular expression: multiple repeat"),
        ("[b-a]", "is no regular expression: bad character range"),
        ("a{3,2}", "is no regular expression"),
        ("a" * 101, f"has 101 characters; the limit is {PATTERN_LIMIT}"),
        ("(" * 50 + ")" * 51, "has 101 characters"),
    ],
)
def test_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        text_limit(pattern)
    assert type(caught.value) is ValueError


PIECES = [
    "a",
    "b",
    ".",
    "[ab]",
    r"\w",
    r"\d",
    "*",
    "+",
    "?",
    "{2}",
    "{1,2}",
    "{2,}",
    "|",
    "(",
    "(?:",
]
PATTERNS = st.lists(st.sampled_from([*PIECES, ")", "^", "$"]), max_size=12).map("".join)


@settings(deadline=None)
@given(PATTERNS, st.text("ab1\n-", max_size=8))
def test_an_accepted_pattern_means_what_it_means_to_python(pattern: str, text: str) -> None:
    assume(is_accepted(pattern))
    expected = re.search(pattern.replace("$", r"\Z"), text, re.ASCII)
    assert bool(compiled(pattern).search(text)) == bool(expected)


def is_accepted(pattern: str) -> bool:
    try:
        return text_limit(pattern) > 0
    except ValueError:
        return False


@settings(deadline=None)
@given(st.text(r"()[]{}\|*+?^$-:,=!<>#09aAbBwZ", max_size=12))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    is_accepted(pattern)


SLOW = ["a*a*a*b", ".*.*.*x", "[ab]*[ab]*[ab]*c", "a+a+b", "a*b", "(a|a)(a|a)(a|a)b", "a?a?a?b"]


@pytest.mark.parametrize("pattern", [*SLOW, "[ab]*[ab]*[ab]*" + "[ab]" * 20 + "c"])
def test_no_text_takes_long(pattern: str) -> None:
    """The worst takes some 0.1 seconds; for the whole of the longest text Python needs hours."""
    prop = {"type": "string", "pattern": pattern}
    form = check_form({"type": "object", "properties": {"field": prop}})
    limit = text_limit(pattern)
    for text in ("a" * limit, "a" * 500_000):
        with pytest.raises(InvalidAnswerError) as caught:
            answer_of(form, {"field": text})
        is_long = len(text) > limit
        message = f"Must have at most {limit} characters." if is_long else f"Must match {pattern}"
        assert caught.value.errors == [("field", message)]
