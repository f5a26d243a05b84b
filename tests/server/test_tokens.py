"""The secrets in links."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.server.tokens import ACTIONS, Action, Links

PAUSE = ("01M81ZHT5F913A3DQNJDS79A3W", "approve", 3)


def links_at(path: Path, url: str = "https://hub.example/user/me/") -> Links:
    return Links(path, lambda: url)


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Links:
    return links_at(tmp_path_factory.mktemp("keys") / "link_keys")


def token_in(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_link_is_read_as_it_was_made(links: Links) -> None:
    resume, cancel = links.urls(*PAUSE)
    assert resume.startswith("https://hub.example/user/me/pdflow/resume/")
    assert cancel.startswith("https://hub.example/user/me/pdflow/cancel/")
    assert links.read("resume", token_in(resume)) == PAUSE
    assert links.read("cancel", token_in(cancel)) == PAUSE


def test_a_resume_link_can_not_be_made_into_a_cancel_link(links: Links) -> None:
    resume, cancel = (token_in(url) for url in links.urls(*PAUSE))
    with pytest.raises(NotFoundError):
        links.read("cancel", resume)
    with pytest.raises(NotFoundError):
        links.read("resume", cancel)


@pytest.mark.parametrize("action", ACTIONS)
def test_no_letter_of_a_token_can_be_changed(links: Links, action: Action) -> None:
    token = links.token(action, *PAUSE)
    for place, letter in enumerate(token):
        for other in {"A", "B", "_", "."} - {letter}:
            with pytest.raises(NotFoundError):
                links.read(action, token[:place] + other + token[place + 1 :])
    for wrong in (token + "=", token + "A", token[:-1], f"{token}.{token}", token + "\n"):
        with pytest.raises(NotFoundError):
            links.read(action, wrong)


@given(st.text())
def test_garbage_is_no_token(links: Links, text: str) -> None:
    with pytest.raises(NotFoundError, match="not known"):
        links.read("resume", text)


def test_another_server_can_not_forge_a_link(links: Links, tmp_path: Path) -> None:
    other = links_at(tmp_path / "link_keys")
    with pytest.raises(NotFoundError):
        links.read("resume", other.token("resume", *PAUSE))


def test_the_key_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "link_keys"
    token = links_at(path).token("resume", *PAUSE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert links_at(path).read("resume", token) == PAUSE
    assert [file.name for file in tmp_path.iterdir()] == ["link_keys"]


def test_a_new_first_key_signs_and_the_old_ones_verify(tmp_path: Path) -> None:
    path = tmp_path / "link_keys"
    path.write_text("old\n")
    old = links_at(path).token("resume", *PAUSE)
    path.write_text("new\nold\n")
    both = links_at(path)
    assert both.read("resume", old) == PAUSE
    new = both.token("resume", *PAUSE)
    path.write_text("new\n")
    only_new = links_at(path)
    assert only_new.read("resume", new) == PAUSE
    with pytest.raises(NotFoundError):
        only_new.read("resume", old)


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "link_keys"
    path.write_text("\n")
    with pytest.raises(ValueError, match="holds no key"):
        links_at(path)
