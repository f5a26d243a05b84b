"""Valid and invalid email addresses; any other text is refused with `ValueError`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.rules.addresses import check_address

GOOD = {
    "a@example.org": ("", "a@example.org"),
    " a@example.org ": ("", "a@example.org"),
    "<a@example.org>": ("", "a@example.org"),
    "Ada Lovelace <a@example.org>": ("Ada Lovelace", "a@example.org"),
    "Bé <b@example.org>": ("Bé", "b@example.org"),
    '"Doe, J" <b@example.org>': ("Doe, J", "b@example.org"),
    "Doe, J <b@example.org>": ("Doe, J", "b@example.org"),
    '"x"@y': ("", "x@y"),
    '"a b"@example.org': ("", '"a b"@example.org'),
    "jupyter_pdflow@localhost": ("", "jupyter_pdflow@localhost"),
    "ada@printer.local": ("", "ada@printer.local"),
    "ada@mail.test": ("", "ada@mail.test"),
    "a@exämple.org": ("", "a@xn--exmple-cua.org"),
    "ü@example.org": ("", "ü@example.org"),
}
BAD = [
    "",
    "@",
    "no-at-sign",
    "bob@",
    ".@",
    " :@",
    "a,<@",
    "a@b@example.org",
    "a@.local",
    "a@example..org",
    "a@example.org, b@example.org",
    "team: a@example.org, b@example.org;",
    "a@example.org\r\nBcc: b@example.org",
    "a@example.org\n",
    "A\r\nBcc: b@example.org <a@example.org>",
    "A\0 <a@example.org>",
    "a\0@example.org",
    "\ud800 <a@example.org>",
    "a\ud800@example.org",
    f"{'x' * 400}@example.org",
    f"{'x' * 5_000_000}@example.org",
    f"{'x' * 600} <a@example.org>",
    "a@example.org>",
    "u@[127.0.0.1]",
]


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    found = check_address(text)
    assert (found.display_name, found.addr_spec) == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=lambda text: ascii(text[:30]))
def test_bad(text: str) -> None:
    with pytest.raises(ValueError, match="is not an email address that can be mailed") as caught:
        check_address(text)
    assert len(str(caught.value)) < 1_000


@given(st.one_of(st.text(), st.text('a@.<>",:; \r\n\0ü[]()\\')))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        found = check_address(text)
    except ValueError:
        return
    assert check_address(str(found)) == found


def test_kernels_import_the_validator_only_when_it_is_needed() -> None:
    code = (
        "import sys, jupyter_pdflow.pd.pd;"
        "print({'email_validator', 'email.headerregistry', 'idna'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
