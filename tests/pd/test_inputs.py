"""`pd.inputs`: sources of its values, and that no `repr` shows them."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import InputsError
from jupyter_pdflow.pd.inputs import Inputs

TOML = """
[slack."$auth"]
oauth_access_token = {env = "SLACK_TOKEN"}
user = "me"

[other]
key = {env = "NOT_SET"}
"""


@pytest.fixture
def inputs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.setenv("SLACK_TOKEN", "xoxb-secret")
    monkeypatch.delenv("NOT_SET", raising=False)
    write(data_dir, TOML)
    return Inputs()


def write(data_dir: Path, text: str, mode: int = 0o600) -> Path:
    path = data_dir / "inputs.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_environment(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setenv("COLOUR", "red")
    inputs = Inputs()
    assert inputs["env"]["COLOUR"] == inputs.env.COLOUR == "red"
    assert isinstance(inputs["env"], dict)
    assert list(inputs) == ["env"]


def test_shaped_as_pipedream_has_them(inputs: Inputs) -> None:
    auth = inputs["slack"]["$auth"]
    assert auth == {"oauth_access_token": "xoxb-secret", "user": "me"}
    assert f"{inputs.slack['$auth'].oauth_access_token}" == "xoxb-secret"
    assert set(inputs) == {"env", "slack", "other"}
    assert len(inputs) == 3


def test_values_are_not_shown(inputs: Inputs) -> None:
    for shown in (inputs, inputs["slack"], inputs["slack"]["$auth"], inputs["env"]):
        for text in (repr(shown), str(shown), f"{shown}", repr([shown])):
            assert "xoxb-secret" not in text


def test_variable_that_is_not_set_raises_where_it_is_used(inputs: Inputs) -> None:
    assert inputs["slack"]
    with pytest.raises(InputsError, match=r"other\.key .*NOT_SET, which is not set"):
        inputs["other"]
    with pytest.raises(InputsError, match="NOT_SET"):
        inputs.get("other")


def test_error_about_a_missing_key_names_the_file(inputs: Inputs, data_dir: Path) -> None:
    with pytest.raises(KeyError) as caught:
        inputs["github"]
    assert str(caught.value) == (
        "There is no 'github' here; there is 'env', 'slack', 'other'. "
        f"Add it to {data_dir / 'inputs.toml'}."
    )
    assert inputs.get("github", 1) == 1
    assert "github" not in inputs
    assert not hasattr(inputs, "github")


@pytest.mark.parametrize("key", ["data_store", "data_store_1", "data_stores"])
def test_error_about_a_data_store_does_not_name_the_file(inputs: Inputs, key: str) -> None:
    with pytest.raises(
        InputsError, match=r"would be a data store, and there are none yet"
    ) as caught:
        inputs[key]
    assert "inputs.toml" not in str(caught.value)
    assert key not in inputs


def test_broken_file_raises(data_dir: Path) -> None:
    write(data_dir, "slack = ")
    for read in (lambda: Inputs()["slack"], lambda: "slack" in Inputs(), lambda: Inputs().get("a")):
        with pytest.raises(InputsError, match=r"inputs\.toml can't be read"):
            read()


def test_mode_of_the_file_is_corrected(data_dir: Path) -> None:
    path = write(data_dir, TOML, mode=0o644)
    with pytest.warns(UserWarning, match=r"mode 644\); its mode is 600 now"):
        assert "slack" in Inputs()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "slack" in Inputs()
