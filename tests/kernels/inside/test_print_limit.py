"""The limit of what a step prints, and the bars that do not count."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from jupyter_pdflow.kernels.inside.listener import REDRAWN, limit_printing


class Stream(io.StringIO):
    """Has attributes, as the streams of ipykernel have."""


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Stream]:
    """Return a function that replaces stderr; pytest does so too, between the fixtures and a test."""

    def replace() -> Stream:
        stream = Stream()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return replace


def test_what_is_beyond_the_limit_is_dropped(printed: Callable[[], Stream]) -> None:
    stream = printed()
    with limit_printing(5) as counter:
        for text in ("abc", "def", "ghi"):
            assert sys.stderr.write(text) == 3
    assert (stream.getvalue(), counter.dropped) == ("abcde", 4)


def test_a_bar_is_drawn_after_the_limit_too(printed: Callable[[], Stream]) -> None:
    stream = printed()
    with limit_printing(3) as counter:
        sys.stderr.write("abcd")
        sys.stderr.write("\r99%")
        sys.stderr.write("\r" * (REDRAWN + 1))
    assert (stream.getvalue(), counter.dropped) == ("abc\r99%", 1 + REDRAWN + 1)
