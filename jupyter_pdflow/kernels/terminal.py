"""Printed text as a terminal shows it: carriage returns overwrite, and the cursor can go up."""

from __future__ import annotations

import re

LINES = 30
"""Number of lines, counted from the last one, that the cursor can go back to."""

COLUMNS = 2_000
"""Maximum number of characters of a line that can be overwritten."""

LONG_TEXT = 50_000
"""Number of characters from which on only the last `REDRAWS` of each line count."""

REDRAWS = 50

_MOVES = re.compile(r"(\n|\r|\x1b\[A)")


class TerminalText:
    r"""A text that is written in pieces, as a terminal shows it in the end.

    Progress bars redraw themselves after ``\r``; several of them go up by ``\x1b[A``. All other
    control sequences stay in the text. What is kept of a bar does not grow while it moves.

    Attributes
    ----------
    size : int
        Size of the text in bytes, as UTF-8.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._above: list[str] = []  # what the cursor can't reach any more
        self._lines: list[list[str]] = [[]]  # the characters of each line that it can reach
        self._row = self._column = 0
        self._tail: list[str] = []  # what was appended since
        self._above_size = self._lines_size = self._tail_size = 0

    @property
    def size(self) -> int:
        """Size of the text in bytes."""
        return self._above_size + self._lines_size + self._tail_size

    def __str__(self) -> str:
        return "".join([*self._above, self._reachable(), *self._tail])

    def write(self, text: str) -> None:
        """Write at the cursor."""
        if self._is_at_end and not moves(text):
            self._tail.append(text)
            self._tail_size += _size(text)
        else:
            self._edit(self._take_tail() + _shortened(text))

    def cut(self, size: int) -> int:
        """Keep at most that many bytes; return how many were dropped."""
        dropped = self.size - size
        if dropped <= 0:
            return 0
        kept = str(self).encode()[: max(0, size)].decode(errors="ignore")
        self._clear()
        self.write(kept)
        return dropped

    def drop_last_line(self) -> None:
        """Drop what was written since the last newline."""
        kept, newline, _ = str(self).rpartition("\n")
        self._clear()
        self.write(kept + newline)

    @property
    def _is_at_end(self) -> bool:
        is_last = self._row == len(self._lines) - 1
        return is_last and self._column == len(self._lines[self._row])

    def _reachable(self) -> str:
        return "\n".join(map("".join, self._lines))

    def _take_tail(self) -> str:
        """Take the last lines of what was appended; those before are out of reach from now on."""
        tail = "".join(self._tail)
        self._tail, self._tail_size = [], 0
        head, *last = tail.rsplit("\n", LINES)
        if len(last) < LINES:
            return tail
        self._put_above(f"{self._reachable()}{head}\n")
        self._lines, self._row, self._column = [[]], 0, 0
        return "\n".join(last)

    def _put_above(self, text: str) -> None:
        self._above.append(text)
        self._above_size += _size(text)

    def _edit(self, text: str) -> None:
        for part in _MOVES.split(text):
            if part == "\n":
                self._row, self._column = self._row + 1, 0
                if self._row == len(self._lines):
                    self._lines.append([])
            elif part == "\r":
                self._column = 0
            elif part == "\x1b[A":
                self._row = max(0, self._row - 1)
            elif part:
                self._overwrite(part)
        self._leave_behind()
        self._lines_size = _size(self._reachable())

    def _overwrite(self, text: str) -> None:
        line = self._lines[self._row]
        line.extend(" " * (self._column - len(line)))
        line[self._column : self._column + len(text)] = text
        self._column += len(text)

    def _leave_behind(self) -> None:
        """Put lines out of reach that are too far above the last one, or too long."""
        far = max(0, len(self._lines) - LINES)
        long = [row + 1 for row, line in enumerate(self._lines) if len(line) > COLUMNS]
        count = max(far, *long, 0)
        if count == 0:
            return
        rest = self._lines[count:]
        newline = "\n" if rest else ""
        self._put_above("\n".join(map("".join, self._lines[:count])) + newline)
        self._lines = rest or [[]]
        self._row -= count
        if self._row < 0:  # the cursor's line is out of reach
            self._row = len(self._lines) - 1
            self._column = len(self._lines[-1])


def moves(text: str) -> bool:
    """Return whether a text moves the cursor other than to a next line."""
    return "\r" in text or "\x1b[A" in text


def _shortened(text: str) -> str:
    """Leave out redraws of a long text that take long to follow, and are not seen in the end."""
    text = text.replace("\r\n", "\n")
    if len(text) < LONG_TEXT or "\r" not in text:
        return text
    return "\n".join("\r".join(line.split("\r")[-REDRAWS:]) for line in text.split("\n"))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
