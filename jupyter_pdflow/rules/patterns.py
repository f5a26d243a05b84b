"""Regular expressions of forms, limited to those that take little time on every text.

Python's regular expressions can take exponential time, and a text that a link brings must not hang
the server. So a pattern may not repeat a group, and may have few choices: pieces that match the
same text in more than one way. The time is then a power of the text's length, and texts that are
tried on a pattern are so short that it stays below about 0.1 seconds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

PATTERN_LIMIT = 100
"""Maximum number of characters of a pattern."""

TEXT_LIMITS = (10_000, 1000, 150, 64)
"""Maximum number of characters of a text, by the number of choices in its pattern."""

# A choice, a fixed repetition, a group, an escape, a class or a character.
_PIECE = re.compile(
    r"(?P<choice>[*+?|]|\{[0-9]{1,3},[0-9]{0,3}\})|\{[0-9]{1,3}\}|\(\?:|[()]"
    r"|\\[bBdDwWsS]|\\[^\w\s]|\[\^?(?:\\[dDwWsS]|\\[^\w\s]|[^\\\[\]&~|])+\]|[^\\\[\]{}]"
)


def text_limit(pattern: str) -> int:
    """Return the maximum number of characters of a text that a pattern may be tried on.

    Raises
    ------
    ValueError
        The pattern can't be used; the message says why.
    """
    choices = sum(piece["choice"] is not None for piece in _pieces(pattern))
    if choices >= len(TEXT_LIMITS):
        msg = f"has more than {len(TEXT_LIMITS) - 1} of * + ? {{m,n}} |"
        raise ValueError(msg)
    compiled(pattern)
    return TEXT_LIMITS[choices]


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern compiled with its meaning in JSON Schema: ASCII, and ``$`` is the very end.

    Raises
    ------
    ValueError
        The pattern can't be used; the message says why.
    """
    texts = [piece[0] for piece in _pieces(pattern)]
    try:
        return re.compile("".join(r"\Z" if text == "$" else text for text in texts), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        msg = f"is no regular expression: {error}"
        raise ValueError(msg) from None


def _pieces(pattern: str) -> list[re.Match[str]]:
    if len(pattern) > PATTERN_LIMIT:
        msg = f"has {len(pattern):,} characters; the limit is {PATTERN_LIMIT}"
        raise ValueError(msg)
    pieces = list(_PIECE.finditer(pattern))
    texts = [piece[0] for piece in pieces]
    if "".join(texts) != pattern or any(map(_is_refused_class, texts)):
        msg = r"has a part that is not possible here, such as \1 or a class within a class"
        raise ValueError(msg)
    for before, after in pairwise(texts):
        if before == "(" and after == "?":
            msg = "has a group that starts with (?, which is only possible as (?:"
            raise ValueError(msg)
        if before == ")" and after[0] in "*+{":
            msg = "repeats a group"
            raise ValueError(msg)
    return pieces


def _is_refused_class(piece: str) -> bool:
    # Python warns of two hyphens, which may mean the difference of sets in a later version.
    return piece.startswith("[") and "--" in piece
