"""Markdown as HTML that every page and email can show, and as plain text.

A message may quote text of unauthenticated clients. So raw HTML is shown as text, links lead to the
web or to an email address, nothing is loaded from elsewhere, and no text takes long to parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

DEEPEST_BLOCK = 12
"""Number of open blocks from which on the text is one of paragraphs; a list opens two a level."""

DEEPEST_MARK = 8
"""Maximum number of links and emphases in each other."""

MAX_CELLS = 20_000
"""Columns of a table, times the lines from there to the end, above which it is shown as text."""

REL = "noopener noreferrer nofollow"

HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6"}
"""The headings of a page are above those of a message."""

_LINK = re.compile(r"https?://[^/?#]|mailto:[^?#]", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def to_html(text: str) -> str:
    """Return Markdown as HTML: CommonMark with tables and strikethrough.

    Raw HTML, and links to anything but ``http:``, ``https:`` and ``mailto:``, are shown as text.
    Images become links to them, and headings begin at ``<h3>``. Every text gives some HTML.
    """
    html: str = _parser().render(_cleaned(text))
    return html


def to_text(text: str) -> str:
    """Return Markdown as plain text: without control characters and spaces at ends of lines."""
    return "\n".join(line.rstrip() for line in _cleaned(text).split("\n")).strip("\n")


def _cleaned(text: str) -> str:
    """Return a text whose lines end with a newline, without the indentation that they share."""
    lines = "\n".join(text.splitlines())
    return dedent(_SURROGATES.sub("\ufffd", _CONTROLS.sub("", lines)))


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    options = {"html": False, "xhtmlOut": False}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    parser.validateLink = _is_allowed  # type: ignore[method-assign]
    parser.block.ruler.before("table", "deepest", _deepest)
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.at("image", _image)
    parser.core.ruler.push("adapt", _adapt)
    # The first text makes the tables of rules; threads must not see them half made.
    parser.render("text")
    return parser


def _is_allowed(url: str) -> bool:
    return _LINK.match(url) is not None


def _deepest(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a paragraph where blocks nest too deeply: markdown-it would leave the text out."""
    from markdown_it.rules_block import paragraph

    return state.level >= DEEPEST_BLOCK and not silent and paragraph(state, start, end, silent)


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a table, unless it could have very many cells: rows are filled up to all columns."""
    from markdown_it.rules_block import table

    columns = state.src.count("|", state.bMarks[start], state.eMarks[start]) + 1
    return columns * (end - start) <= MAX_CELLS and table(state, start, end, silent)


def _image(state: StateInline, silent: bool) -> bool:
    """Read an image as a link."""
    from markdown_it.rules_inline import link

    if not state.src.startswith("![", state.pos, state.posMax):
        return False
    start = state.pos
    state.pos += 1
    if link(state, silent):
        return True
    state.pos = start
    return False


def _adapt(state: StateCore) -> None:
    """Adapt what was read to pages and emails."""
    for token in state.tokens:
        token.tag = HEADINGS.get(token.tag, token.tag)
        token.info = ""  # the language of a code block: it would be a class
        if "style" in token.attrs:  # of a cell; policies of pages forbid styles
            align = str(token.attrs.pop("style")).removeprefix("text-align:")
            token.attrs["align"] = align
        if token.children:
            token.children = list(_with_texts(_without_unfit(token.children)))


def _without_unfit(tokens: list[Token]) -> Iterator[Token]:
    """Yield tokens without links in links and to nothing, and without marks that nest deeply."""
    tags: list[str] = []
    for token in tokens:
        if token.nesting > 0:
            fits = len(tags) < DEEPEST_MARK and (token.tag != "a" or _fits(token, tags))
            tags.append(token.tag if fits else "")
        fits = token.nesting == 0 or tags[-1] != ""
        if token.nesting < 0:
            tags.pop()
        if fits:
            yield token


def _fits(link: Token, within: list[str]) -> bool:
    # markdown-it does not ask about an empty address.
    return "a" not in within and _is_allowed(str(link.attrs["href"]))


def _with_texts(tokens: Iterator[Token]) -> Iterator[Token]:
    """Yield tokens with the address as the text of each link that has none."""
    from markdown_it.token import Token

    url, is_blank = "", False
    for token in tokens:
        if token.type == "link_open":
            token.attrs["rel"] = REL
            url, is_blank = str(token.attrs["href"]), True
        elif token.type == "link_close" and is_blank:
            yield Token("text", "", 0, content=url)
        elif token.content.strip():
            is_blank = False
        yield token
