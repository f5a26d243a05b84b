"""What becomes of the body of a request."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_pdflow.server.bodies import NESTING_ABOVE, read_body

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def part(headers: str, content: bytes) -> bytes:
    return b"--x\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("", b"", None),
        ("application/json", b"", None),
        ("application/json", b" \n", None),
        ("application/json", b'{"a": [1, null, "\xc3\xa9"]}', {"a": [1, None, "é"]}),
        ("Application/JSON; charset=UTF-8", b"\xef\xbb\xbf[1]", [1]),
        ("application/json; charset=utf-16", '"ü"'.encode("utf-16"), "ü"),
        ("application/cloudevents+json", b"3", 3),
        (FORM, b"a=1&b=2&b=3&c=&d=%C3%A9+x", {"a": "1", "b": ["2", "3"], "c": "", "d": "é x"}),
        (f"{FORM}; charset=latin-1", b"a=%E9", {"a": "é"}),
        ("text/plain", "grüezi".encode(), "grüezi"),
        ("text/plain; charset=iso-8859-1", b"gr\xfcezi", "grüezi"),
        ('text/csv; charset="utf-8"', b"a,b\n", "a,b\n"),
        (
            "image/png",
            b"\x89PNG",
            {"content_type": "image/png", "size": 4, "base64": b64(b"\x89PNG")},
        ),
        ("", b"ab", {"content_type": "application/octet-stream", "size": 2, "base64": b64(b"ab")}),
    ],
)
def test_a_body_is_read_by_its_type(content_type: str, body: bytes, expected: Any) -> None:
    assert read_body(content_type, "", body) == {"body": expected}


def test_multipart_gives_fields_and_files() -> None:
    body = (
        part('Content-Disposition: form-data; name="who"', "Zoë".encode())
        + part('Content-Disposition: form-data; name="tag"', b"a")
        + part('Content-Disposition: form-data; name="tag"', b"b")
        + part(
            'Content-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: x/y',
            b"\x00\xff",
        )
        + b"--x--\r\n"
    )
    file = {"filename": "a.bin", "content_type": "x/y", "size": 2, "base64": b64(b"\x00\xff")}
    assert read_body(MULTIPART, "", body) == {"body": {"who": "Zoë", "tag": ["a", "b"], "f": file}}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"NaN"),
        ("application/json", b"\xff"),
        ("application/json", b'"\\ud800"'),
        ("application/json", b"[" * 240 + b"]" * 240),
        ("application/json", b"[" * 100_000),
        (FORM, b"a=\xff"),
        (FORM, b"a=%ff"),
        (FORM, b"&".join([b"a=1"] * 20_000)),
        (MULTIPART, b"no boundary in here"),
        ("multipart/form-data", b"--x\r\n"),
        (MULTIPART, part('Content-Disposition: form-data; name="a"', b"\xff") + b"--x--"),
        ("text/plain", b"\xff"),
        ("text/plain; charset=klingon", b"qo"),
        ("text/plain; charset=zlib", b"x"),
        ("text/plain; charset=punycode", b"x" * 100_000),
        ("text/plain; charset=utf-7", b"+2AA-"),
    ],
)
def test_a_malformed_body_is_kept_as_text(content_type: str, body: bytes) -> None:
    told = read_body(content_type, "", body)
    assert told["body"] == body.decode(errors="replace")
    assert told["body_error"].startswith("The body")


@pytest.mark.parametrize("encoding", ["gzip", "br", "x-unheard-of"])
def test_an_encoded_body_is_kept_as_it_is(encoding: str) -> None:
    told = read_body("application/json", encoding, b"\x1f\x8b")
    assert told == {
        "body": {"content_type": "application/json", "size": 2, "base64": b64(b"\x1f\x8b")}
    }


content_types = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}; {}={}".format,
        st.sampled_from(["application/json", "text/html", FORM, "multipart/form-data", "a/b+json"]),
        st.sampled_from(["charset", "boundary", "charset*", "charset*0*", "boundary*"]),
        st.one_of(
            st.sampled_from(
                ["x", '"x"', "utf-16", "idna", "utf-7", "hex", "cp037", "''%ff", "a''b"]
            ),
            st.text(max_size=20),
        ),
    ),
)
bodies = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(
        lambda headers, content: part(headers, content) + b"--x--",
        st.text(st.characters(max_codepoint=255), max_size=80),
        st.binary(max_size=50),
    ),
    st.recursive(st.none() | st.floats() | st.text(), st.lists, max_leaves=20).map(
        lambda value: repr(value).encode(errors="replace")
    ),
)


@given(content_types, st.sampled_from(["", "identity", "gzip"]), bodies)
@example("application/json", "", b"123456789012345678901234567890")
@example("application/json", "", b"1e999")
def test_no_body_is_too_strange(content_type: str, encoding: str, body: bytes) -> None:
    told = read_body(content_type, encoding, body)
    assert set(told) <= {"body", "body_error"}
    for _ in range(NESTING_ABOVE):
        told = {"in": told}
    orjson.dumps(told)
