"""The numbers of a workflow's versions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_pdflow.rules.workflow import LARGEST_NUMBER, Workflow, merged, next_number, numbered
from tests.rules.support import START, workflow

VERSIONS = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.tuples(st.integers(-3, 9) | st.just(LARGEST_NUMBER), st.integers(0, 3)),
)


def made(**versions: tuple[int, int]) -> dict[str, Workflow]:
    """Return versions with these numbers, deployed at these seconds after the start."""
    return {
        name: replace(
            workflow("a"),
            version=name,
            number=number,
            created_at=START + timedelta(seconds=seconds),
        )
        for name, (number, seconds) in versions.items()
    }


def numbers(versions: dict[str, Workflow]) -> dict[str, int]:
    return {name: each.number for name, each in versions.items()}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, {}),
        ({"a": (0, 2), "b": (0, 1), "c": (0, 3)}, {"b": 1, "a": 2, "c": 3}),
        ({"b": (0, 1), "a": (0, 1)}, {"a": 1, "b": 2}),
        ({"a": (0, 1), "b": (4, 2), "c": (2, 3), "d": (0, 0)}, {"c": 2, "b": 4, "d": 5, "a": 6}),
        ({"a": (1, 5), "b": (1, 4)}, {"b": 1, "a": 2}),
        ({"a": (LARGEST_NUMBER, 0), "b": (3, 1)}, {"b": 3, "a": 4}),
    ],
)
def test_versions_without_a_number_get_the_next_ones(
    stored: dict[str, tuple[int, int]], expected: dict[str, int]
) -> None:
    found = numbers(numbered(made(**stored)))
    assert found == expected
    assert list(found) == list(expected)
    assert next_number(numbered(made(**stored))) == max(expected.values(), default=0) + 1


@given(VERSIONS)
def test_numbers_are_different_and_stay(stored: dict[str, tuple[int, int]]) -> None:
    once = numbered(made(**stored))
    assert once.keys() == stored.keys()
    assert len(set(numbers(once).values())) == len(stored)
    assert all(0 < each.number < LARGEST_NUMBER for each in once.values())
    assert numbered(once) == once


@given(VERSIONS, VERSIONS)
def test_versions_from_elsewhere_change_no_number_here(
    here: dict[str, tuple[int, int]], there: dict[str, tuple[int, int]]
) -> None:
    known, added = numbered(made(**here)), made(**there)
    found = merged(known, added)
    assert found.keys() == here.keys() | there.keys()
    assert {name: found[name] for name in known} == known
    assert len(set(numbers(found).values())) == len(found)
    if not known:
        assert found == numbered(added)


def test_a_number_that_is_free_here_is_kept() -> None:
    known = made(a=(1, 0), b=(2, 1))
    found = merged(known, made(a=(5, 0), c=(2, 0), d=(7, 0)))
    assert numbers(found) == {"a": 1, "b": 2, "d": 7, "c": 8}
