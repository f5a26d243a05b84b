"""The tokens of links and their keys."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import KeyFileError, NotFoundError
from jupyter_pdflow.server.links.tokens import (
    ACTIONS,
    IMPORTED_KEYS,
    Action,
    ImportedKeys,
    Links,
    _serializer,
    is_key,
    read_keys,
    refuse_older_versions,
    write_imported_keys,
)

OLD, NEW = "old-" * 11, "new-" * 11
PAUSE = ("01M81ZHT5F913A3DQNJDS79A3W", "approve", 3)


def links_at(path: Path, url: str = "https://hub.example/user/me/") -> Links:
    return Links.from_files(path, lambda: url)


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Links:
    return links_at(tmp_path_factory.mktemp("keys") / "link_keys")


def token_in(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_token_is_read_as_it_was_made(links: Links) -> None:
    resume, cancel = links.urls(*PAUSE)
    assert resume.startswith("https://hub.example/user/me/pdflow/resume/")
    assert cancel.startswith("https://hub.example/user/me/pdflow/cancel/")
    assert links.read("resume", token_in(resume))[:3] == PAUSE
    assert links.read("cancel", token_in(cancel))[:3] == PAUSE


def test_a_resume_token_is_no_cancel_token(links: Links) -> None:
    resume, cancel = (token_in(url) for url in links.urls(*PAUSE))
    with pytest.raises(NotFoundError):
        links.read("cancel", resume)
    with pytest.raises(NotFoundError):
        links.read("resume", cancel)


@pytest.mark.parametrize("action", ACTIONS)
def test_no_character_of_a_token_can_be_changed(links: Links, action: Action) -> None:
    token = links.token(action, *PAUSE)
    for index, character in enumerate(token):
        for other in {"A", "B", "_", "."} - {character}:
            with pytest.raises(NotFoundError):
                links.read(action, token[:index] + other + token[index + 1 :])
    for wrong in (token + "=", token + "A", token[:-1], f"{token}.{token}", token + "\n"):
        with pytest.raises(NotFoundError):
            links.read(action, wrong)


@given(st.text())
def test_any_text_is_not_a_token(links: Links, text: str) -> None:
    with pytest.raises(NotFoundError, match="not known"):
        links.read("resume", text)


def test_another_server_can_not_forge_a_link(links: Links, tmp_path: Path) -> None:
    other = links_at(tmp_path / "link_keys")
    with pytest.raises(NotFoundError):
        links.read("resume", other.token("resume", *PAUSE))


def test_the_key_file_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "link_keys"
    token = links_at(path).token("resume", *PAUSE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert links_at(path).read("resume", token)[:3] == PAUSE
    assert [file.name for file in tmp_path.iterdir()] == ["link_keys"]


def test_a_new_first_key_signs_and_the_old_ones_verify(tmp_path: Path) -> None:
    path = tmp_path / "link_keys"
    path.write_text(f"{OLD}\n")
    old = links_at(path).token("resume", *PAUSE)
    path.write_text(f"{NEW}\n{OLD}\n")
    both = links_at(path)
    assert both.read("resume", old)[:3] == PAUSE
    new = both.token("resume", *PAUSE)
    path.write_text(f"{NEW}\n")
    only_new = links_at(path)
    assert only_new.read("resume", new)[:3] == PAUSE
    with pytest.raises(NotFoundError):
        only_new.read("resume", old)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        b"\x00" * 44,
        b"\xff\xfe" + b"k" * 44,
        OLD.encode()[:20],
        OLD.encode() + b"\nshort\n",
        b"two words " * 5,
        b'{"json": ["' + b"k" * 44 + b'", 1]}',
    ],
)
def test_a_damaged_key_file_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "link_keys"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"link_keys.*fix it, or delete it") as refused:
        links_at(path)
    assert "\n" not in str(refused.value)
    assert OLD[:20] not in str(refused.value)
    assert path.read_bytes() == content


def test_a_folder_in_place_of_the_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link_keys").mkdir()
    with pytest.raises(KeyFileError, match="can't be read"):
        links_at(tmp_path / "link_keys")


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_key_file_that_others_can_read_is_made_private(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "link_keys"
    token = links_at(path).token("resume", *PAUSE)
    path.chmod(mode)
    assert links_at(path).read("resume", token)[:3] == PAUSE
    assert path.stat().st_mode & 0o777 == 0o600


def test_tokens_do_not_depend_on_the_address(tmp_path: Path) -> None:
    path = tmp_path / "link_keys"
    old = links_at(path, "http://127.0.0.1:8888/").urls(*PAUSE)
    new = links_at(path, "https://elsewhere.example/hub/user/me").urls(*PAUSE)
    assert [token_in(url) for url in old] == [token_in(url) for url in new]


def test_signatures_are_compared_in_constant_time(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, compared = links.token("resume", *PAUSE), list[bytes]()
    compare = hmac.compare_digest

    def recording(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", recording)
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BA")
    with pytest.raises(NotFoundError):
        links.read("resume", forged)
    assert len(compared) == 1
    assert links.read("resume", token)[:3] == PAUSE
    assert len(compared) == 2


class TestImportedKeys:
    """A key that came with an archive verifies the links of the archive's runs only."""

    def links(self, tmp_path: Path, keys: ImportedKeys) -> Links:
        write_imported_keys(tmp_path / IMPORTED_KEYS, keys)
        return links_at(tmp_path / "link_keys")

    def forged(self, key: str, *pause: object) -> str:
        """Sign a payload with a key, as everyone who has the archive can."""
        serializer = _serializer("resume", [key])
        return str(serializer.dumps(list(pause)))

    def test_only_links_of_its_runs_are_read(self, tmp_path: Path) -> None:
        other = ("01M81ZHT5F913A3DQNJDS79A3X", *PAUSE[1:])
        links = self.links(tmp_path, {OLD: {PAUSE[0]}, NEW: {other[0]}})
        assert links.read("resume", self.forged(OLD, *PAUSE))[:3] == PAUSE
        assert links.read("resume", self.forged(NEW, *other))[:3] == other
        for token in (self.forged(OLD, *other), self.forged(NEW, *PAUSE)):
            with pytest.raises(NotFoundError):
                links.read("resume", token)
        with pytest.raises(NotFoundError):
            links.read("cancel", self.forged(OLD, *PAUSE))

    def test_new_links_are_signed_with_the_servers_own_key(self, tmp_path: Path) -> None:
        links = self.links(tmp_path, {OLD: {PAUSE[0]}})
        token = links.token("resume", *PAUSE)
        (tmp_path / IMPORTED_KEYS).unlink()
        assert links_at(tmp_path / "link_keys").read("resume", token)[:3] == PAUSE

    @pytest.mark.parametrize(
        "payload", [[], [1, 2, 3], [{}, "a", 1], [[PAUSE[0]], "a", 1], [PAUSE[0], {}, 1], [
            PAUSE[0], "a", True], [PAUSE[0], "a", 1, 2]],
    )  # fmt: skip
    def test_other_signed_payloads_are_refused(self, tmp_path: Path, payload: list[object]) -> None:
        links = self.links(tmp_path, {OLD: {PAUSE[0]}})
        with pytest.raises(NotFoundError):
            links.read("resume", self.forged(OLD, *payload))

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"short": []}', b"[" * 9999, b"\xff"])
    def test_a_damaged_file_is_set_aside(
        self, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / IMPORTED_KEYS).write_bytes(content)
        links = links_at(tmp_path / "link_keys")
        assert links.read("resume", links.token("resume", *PAUSE))[:3] == PAUSE
        assert (tmp_path / f"{IMPORTED_KEYS}.unreadable").read_bytes() == content
        assert "The original links of imported runs don't work" in caplog.text


def test_a_dangling_symbolic_link_is_refused(tmp_path: Path) -> None:
    """The key file may be on a disk that is not mounted yet."""
    (tmp_path / "link_keys").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="can't be read"):
        links_at(tmp_path / "link_keys")
    assert (tmp_path / "link_keys").is_symlink()


def test_a_pipe_in_place_of_the_key_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "link_keys", 0o600)
    with pytest.raises(KeyFileError, match="can't be read"):
        links_at(tmp_path / "link_keys")


def test_a_comment_makes_older_versions_refuse_the_directory(tmp_path: Path) -> None:
    path = tmp_path / "link_keys"
    keys = read_keys(path)
    for _ in range(2):
        refuse_older_versions(path)
    first, note = path.read_text().splitlines()
    assert [first] == keys == read_keys(path)
    assert note.startswith("# Data format 2")
    assert not is_key(note)  # what versions before format 2 asked of each line
