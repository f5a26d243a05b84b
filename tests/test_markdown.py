"""Markdown becomes HTML that is safe to show, and plain text."""

from __future__ import annotations

import subprocess
import sys
import time
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_pdflow.markdown import DEEPEST_BLOCK, DEEPEST_MARK, REL, to_html, to_text

TAGS = {
    *("p", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "br", "hr"),
    *("a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    "a": {"href", "rel", "title"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
}
"""The attributes that tags may have."""

VOID = {"br", "hr"}
SCHEMES = ("http://", "https://", "mailto:")
LIMIT = 10_000
"""Number of characters of the longest message."""

PIECES = [
    *"[]()<>!*_~`|#>-+=:\\&;\"' \n\t/.1aü",
    *(
        "![",
        "](",
        "](http://b)",
        "](javascript:a)",
        "]()",
        "[a]",
        "[a]: ",
        "[::1]",
        "<http://",
        "mailto:",
    ),
    *("\n\n", "    ", "> ", "- ", "1. ", "```", "**", "~~", "|-|", "\n|a|b|\n|-|:-:|\n"),
    *("http://b", "javascript:", "data:text/html,a", "<script>", "&#x6a;", "//", "%6a"),
    *("\0", "\r", "\u2028", "\ud800", "\x1b", "\x7f"),
]
TEXTS = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Cc", "Cs", "Zl", "Zp", "P", "S"])),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
)


class Reader(HTMLParser):
    """Reads HTML: its tags with their attributes, its text, and how deeply tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.depth = 0
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            assert "a" not in self._open
        if tag not in VOID:
            self._open.append(tag)
            self.depth = max(self.depth, len(self._open))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    @property
    def names(self) -> list[str]:
        return [tag for tag, _ in self.tags]

    @property
    def links(self) -> list[str | None]:
        return [attrs["href"] for tag, attrs in self.tags if tag == "a"]


def read(text: str) -> Reader:
    return Reader(to_html(text))


@settings(deadline=None)
@given(TEXTS)
def test_any_text_becomes_safe_html(text: str) -> None:
    html = to_html(text)
    html.encode()
    for tag, attrs in Reader(html).tags:
        assert tag in TAGS
        assert set(attrs) <= ATTRIBUTES.get(tag, set())
        if tag == "a":
            assert (attrs["href"] or "").lower().startswith(SCHEMES)
            assert attrs["rel"] == REL
        if tag in ("th", "td"):
            assert attrs.get("align", "left") in ("left", "center", "right")


@settings(deadline=None)
@given(TEXTS)
def test_any_text_becomes_plain_text(text: str) -> None:
    lines = to_text(text)
    lines.encode()
    assert all(char.isprintable() or char.isspace() for char in lines if char < "\xa0")
    assert lines.splitlines() == [line.rstrip() for line in lines.split("\n") if lines]
    assert to_text(lines) == lines


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Pay **1,200 €**?", "<p>Pay <strong>1,200 €</strong>?</p>\n"),
        ("~~a~~ *b* `c<`", "<p><s>a</s> <em>b</em> <code>c&lt;</code></p>\n"),
        ("a  \nb\nc", "<p>a<br>\nb\nc</p>\n"),
        ("3. a", '<ol start="3">\n<li>a</li>\n</ol>\n'),
        ("```js\na < b\n```", "<pre><code>a &lt; b\n</code></pre>\n"),
        ("---", "<hr>\n"),
        ("", ""),
    ],
)
def test_markdown(text: str, html: str) -> None:
    assert to_html(text) == html


def test_headings_are_below_those_of_a_page() -> None:
    text = "\n".join(f"{'#' * level} a" for level in range(1, 7))
    assert read(text).names == ["h3", "h4", "h5", "h6", "h6", "h6"]
    assert read("a\n===\n\nb\n---").names == ["h3", "h4"]


def test_a_table() -> None:
    table = read("| a | b | c |\n|---|:-:|--:|\n| 1 | 2 | 3 |")
    aligns = [attrs.get("align") for tag, attrs in table.tags if tag in ("th", "td")]
    assert table.names[:3] == ["table", "thead", "tr"]
    assert aligns == [None, "center", "right"] * 2


def test_raw_html_is_text() -> None:
    for html in ('<script>alert("a")</script>', "a <b onclick=c>", "<!-- a -->", "<a href='b'>"):
        page = read(html)
        assert page.names == ["p"]
        assert page.text.strip() == html


@pytest.mark.parametrize(
    ("url", "as_sent"),
    [
        ("https://b.org/c?d=1&e=2#f", "https://b.org/c?d=1&e=2#f"),
        ("HTTP://b.org/", "http://b.org/"),
        ("mailto:a@b.org", "mailto:a@b.org"),
        ("http://ü.org/ü", "http://xn--tda.org/%C3%BC"),
    ],
)
def test_links(url: str, as_sent: str) -> None:
    page = read(f"[a]({url} 'title')")
    (attrs,) = (attrs for tag, attrs in page.tags if tag == "a")
    assert (attrs["href"] or "").lower() == as_sent.lower()
    assert attrs["rel"] == "noopener noreferrer nofollow"
    assert attrs["title"] == "title"
    assert page.text == "a\n"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java&#x73;cript:alert(1)",
        "data:text/html,a",
        "data:image/png;base64,AAAA",
        "vbscript:a",
        "file:///etc/passwd",
        "ftp://b.org",
        "//b.org",
        "/pdflow/api/runs",
        "b.html",
        "#b",
        "http:b",
        "https:/b",
        "mailto:",
    ],
)
def test_other_links_are_text(url: str) -> None:
    for text in (f"[a]({url})", f"![a]({url})", f"<{url}>", f"[a][b]\n\n[b]: {url}"):
        page = read(text)
        assert set(page.names) == {"p"}
        assert page.text.split() == unescape(text).split()


def test_an_image_becomes_a_link() -> None:
    assert read("See ![the *chart*](https://b.org/c.png).").links == ["https://b.org/c.png"]
    assert read("See ![the *chart*](https://b.org/c.png).").text == "See the chart.\n"
    assert read("![a][b]\n\n[b]: http://c.org").links == ["http://c.org"]
    assert read("Pay![now][b]").text == "Pay![now][b]\n"


def test_an_image_in_a_link_is_its_text() -> None:
    page = read("[![a](https://b.org/c.png)](https://d.org/)")
    assert page.links == ["https://d.org/"]
    assert page.text == "a\n"


@pytest.mark.parametrize("text", ["[a]()", "![a]( )", "[*a*](<> 'b')", "[![a]()]()"])
def test_a_link_to_nothing_is_its_text(text: str) -> None:
    page = read(text)
    assert page.links == []
    assert "a" in page.text


@pytest.mark.parametrize("text", ["[](https://b.org/)", "[ ](https://b.org/)"])
def test_a_link_without_text_shows_its_address(text: str) -> None:
    for markdown in (text, f"!{text}", f"[!{text}](https://b.org/)"):
        assert read(markdown).text.strip() == "https://b.org/"


@pytest.mark.parametrize("mark", ["> ", "- ", "1. "])
def test_text_that_nests_too_deeply_is_shown(mark: str) -> None:
    page = read(f"{mark * 100}deep *text*")
    assert "deep text" in page.text
    assert page.text.count(mark) >= 100 - DEEPEST_BLOCK
    assert page.depth <= DEEPEST_BLOCK + 4


def test_marks_that_nest_too_deeply_are_left_out() -> None:
    page = read("*a " * 100 + "b* " * 100)
    assert page.text.split() == ["a"] * 100 + ["b"] * 100
    assert page.depth == 1 + DEEPEST_MARK


def test_a_message_that_is_indented_in_the_source() -> None:
    message = """
        # Pay?

        - one
            - two
    """
    assert read(message).names == ["h3", "ul", "li", "ul", "li"]
    assert to_text(message) == "# Pay?\n\n- one\n    - two"


def test_plain_text() -> None:
    assert to_text("a \t\r\nb\x1b[0m\x00\u2028c\ud800\n\n") == "a\nb[0m\nc\ufffd"
    assert to_text("\tcode\nb") == "\tcode\nb"


@pytest.mark.parametrize(
    "text",
    [
        "[" * LIMIT,
        "![" * (LIMIT // 2),
        "![" * 714 + "](http://b)" * 714,
        "[a](" * (LIMIT // 4),
        "[a][b]" * (LIMIT // 6),
        "*a " * (LIMIT // 6) + "b* " * (LIMIT // 6),
        "**a *b_ " * (LIMIT // 8),
        "".join("`" * number + " " for number in range(1, 140)),
        "<http:" * (LIMIT // 6),
        "> " * (LIMIT // 2),
        "- " * (LIMIT // 2),
        ("> " * 20 + "a\n") * (LIMIT // 42),
        "".join(" " * number + "- a\n" for number in range(135)),
        "[a]: http://b '\n" * (LIMIT // 16),
        "> a\n" + "b\n" * (LIMIT // 2 - 2),
        "x|" * 1200 + "\n" + "-|" * 1200 + "\n" + "x\n" * 2500,
        "x|" * 20 + "\n" + "-|" * 20 + "\n" + "x\n" * 4900,
        "|x" * 3 + "\n" + "|-" * 3 + "\n" + "x\n" * 4900,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_no_text_takes_long(text: str) -> None:
    assert len(text) <= LIMIT
    start = time.process_time()
    html = to_html(text)
    assert time.process_time() - start < 2  # takes 0.2 s
    assert len(html) < 30 * LIMIT


def test_the_parser_is_imported_at_its_first_use() -> None:
    code = "import sys, jupyter_pdflow.markdown; print('markdown_it' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
