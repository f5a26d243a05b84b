"""Parsing the body of a request by its content type and encoding."""

from __future__ import annotations

import base64
import gzip
import tracemalloc
import zlib
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import BodyTooLargeError
from jupyter_pdflow.server.links.requests import RECORD_LEVELS, is_storable
from jupyter_pdflow.server.links.requests import read_body as read_body_within

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


LIMIT = 512 * 1024


def read_body(content_type: str, content_encoding: str, body: bytes) -> dict[str, Any]:
    return read_body_within(content_type, content_encoding, body, limit=LIMIT)


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
        ("application/json", b'{"id": 123456789012345678901}', {"id": 123456789012345678901}),
        ("application/json", b"[-9223372036854775809]", [-9223372036854775809]),
        ("application/json", b"18446744073709551616", 18446744073709551616),
        ("application/json", b"1" * 4300, int("1" * 4300)),
        ("application/json", b"[9007199254740993, 1e3, 0.1]", [9007199254740993, 1000.0, 0.1]),
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
def test_a_body_is_parsed_by_its_content_type(
    content_type: str, body: bytes, expected: Any
) -> None:
    assert read_body(content_type, "", body) == {"body": expected}


def test_multipart_has_fields_and_files() -> None:
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
        ("application/json", b"[" * 240 + b"123456789012345678901" + b"]" * 240),
        ("application/json", b"1" * 4301),
        ("application/json", b"1e999"),
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
    parsed = read_body(content_type, "", body)
    assert parsed["body"] == body.decode(errors="replace")
    assert parsed["body_error"].startswith("The body")


@pytest.mark.parametrize("levels", [1, 223, 224, 225])
def test_a_large_integer_does_not_change_the_allowed_depth(levels: int) -> None:
    def nested(value: Any) -> Any:
        for _ in range(levels):
            value = [value]
        return value

    assert is_storable(nested(2**70)) is is_storable(nested(1)) is (levels < 224)


@pytest.mark.parametrize("encoding", ["br", "zstd", "x-unheard-of", "gzip, br"])
def test_a_body_in_an_unknown_encoding_is_kept_as_it_is(encoding: str) -> None:
    parsed = read_body("application/json", encoding, b"\x1f\x8b")
    assert parsed == {
        "body": {"content_type": "application/json", "size": 2, "base64": b64(b"\x1f\x8b")}
    }


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


gzipped = partial(gzip.compress, mtime=0)  # the same bytes each time: they name the test
JSON = b'{"a": [1]}'
COMPRESSED = [
    ("gzip", gzipped(JSON)),
    ("GZip ", gzipped(JSON)),
    ("x-gzip", gzipped(JSON)),
    ("gzip", gzipped(JSON[:4]) + gzipped(JSON[4:])),
    ("deflate", zlib.compress(JSON)),
    ("deflate", raw_deflate(JSON)),
]


@pytest.mark.parametrize(("encoding", "body"), COMPRESSED)
def test_a_compressed_body_is_decompressed(encoding: str, body: bytes) -> None:
    assert read_body("application/json", encoding, body) == {"body": {"a": [1]}}


def test_an_empty_body_can_be_compressed() -> None:
    assert read_body("application/json", "gzip", gzipped(b"")) == {"body": None}


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        *((encoding, body[:-1]) for encoding, body in COMPRESSED),
        *((encoding, body[:9]) for encoding, body in COMPRESSED),
        ("gzip", JSON),
        ("deflate", b"\xff" + JSON),
        ("gzip", gzipped(JSON)[:-8] + b"\0" * 8),
        ("gzip", gzipped(JSON) + b"more"),
    ],
)
def test_a_wrongly_compressed_body_is_kept_as_text(encoding: str, body: bytes) -> None:
    parsed = read_body("application/json", encoding, body)
    assert parsed["body"] == body.decode(errors="replace")
    assert parsed["body_error"].startswith("The body is not compressed as its content encoding")


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_a_decompression_bomb_is_not_decompressed_beyond_the_limit(compress: Any) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"
    fits = read_body("text/plain", encoding, compress(b"0" * LIMIT))
    assert len(fits["body"]) == LIMIT
    bomb = compress(b"0" * (50 * LIMIT))
    tracemalloc.start()
    with pytest.raises(BodyTooLargeError):
        read_body("text/plain", encoding, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


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


@given(content_types, st.sampled_from(["", "identity", "gzip", "deflate"]), bodies)
@example("application/json", "", b"123456789012345678901234567890")
@example("application/json", "", b"1e999")
def test_any_body_is_parsed_or_kept(content_type: str, encoding: str, body: bytes) -> None:
    parsed = read_body(content_type, encoding, body)
    assert set(parsed) <= {"body", "body_error"}
    for _ in range(RECORD_LEVELS):
        parsed = {"in": parsed}
    assert msgspec.json.decode(msgspec.json.encode(parsed)) == parsed
