"""Text as a terminal shows it, written in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.kernels.terminal import COLUMNS, LINES, TerminalText

UP = "\x1b[A"


def shown(*texts: str) -> str:
    terminal = TerminalText()
    for text in texts:
        terminal.write(text)
    assert terminal.size == len(str(terminal).encode())
    return str(terminal)


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["a\n", "b"], "a\nb"),
        (["a\r", "b\n", "c"], "b\nc"),
        (["abc\rd"], "dbc"),
        (["1\r2\r3\n4\r5"], "3\n5"),
        (["a\r\nb\r\n"], "a\nb\n"),
        (["a\r", "\nb"], "a\nb"),
        (["outer 0\n", "\rinner 0", UP, "\router 1", "\n", "\rinner 9"], "outer 1\ninner 9"),
        ([f"a{UP}{UP}\rb"], "b"),
        (["ä\rö", "ü"], "öü"),
        (["line\n" * 99, "0%\r1%"], "line\n" * 99 + "1%"),
        (["0%\r1%\n", "line\n" * 99, "2%\r3%"], "1%\n" + "line\n" * 99 + "3%"),
        (["ab\n", UP * (LINES + 5), "\rc"], "cb\n"),
        (["\n" * (2 * LINES) + UP * 3 + "x"], "\n" * (2 * LINES - 3) + "x\n\n\n"),
        (["x" * (COLUMNS + 1) + "\ry", "z"], "y" + "x" * COLUMNS + "z"),
        (["\r".join(map(str, range(10_000, 60_000)))], "59999"),
    ],
)
def test_the_last_state_is_shown(texts: list[str], kept: str) -> None:
    assert shown(*texts) == kept


@given(st.lists(st.text(alphabet="ab\n\rä")))
def test_pieces_do_not_matter(texts: list[str]) -> None:
    whole = "".join(texts)
    expected = "\n".join(map(overwritten, whole.split("\n")))
    assert shown(*texts) == shown(whole) == expected


def overwritten(line: str) -> str:
    visible = ""
    for part in line.split("\r"):
        visible = part + visible[len(part) :]
    return visible


def test_a_bar_takes_no_more_room_while_it_moves() -> None:
    terminal = TerminalText()
    for number in range(1000):
        terminal.write(f"\r{number:4}")
    assert (terminal.size, str(terminal)) == (4, " 999")


def test_a_cut_keeps_whole_characters() -> None:
    terminal = TerminalText()
    terminal.write("aää\rb")
    assert (terminal.cut(10), terminal.cut(4)) == (0, 1)
    assert str(terminal) == "bä"
    terminal.write("c")
    assert str(terminal) == "bäc"
    terminal.write("\n1%\r2%")
    terminal.drop_last_line()
    assert str(terminal) == "bäc\n"
