"""``pd.inputs``: the environment, and secrets from ``inputs.toml``."""

from __future__ import annotations

import os
import stat
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_pdflow.exceptions import InputsError
from jupyter_pdflow.handler.attrs import Attrs, missing

DATA_DIR_VARIABLE = "JUPYTER_PDFLOW_DATA_DIR"


def data_dir() -> Path:
    """Get the directory that holds ``inputs.toml`` and what the server keeps."""
    chosen = os.environ.get(DATA_DIR_VARIABLE)
    if chosen:
        return Path(chosen)
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "pdflow"


class Hidden(Attrs):
    """A mapping that never shows its values, only its keys."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<hidden: {', '.join(map(repr, self)) or 'empty'}>"


class Inputs(Mapping[str, Any]):
    """What a workflow is given from outside: ``env`` and the tables of ``inputs.toml``.

    The file is read when a key other than ``env`` is first asked for. A table
    ``{env = "NAME"}`` in it stands for the value of that environment variable.

    Raises
    ------
    InputsError
        There is no such key, the file can't be read, or a variable it names is not set.
    """

    def __init__(self) -> None:
        self._tables: dict[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        if key == "env":
            return Hidden(os.environ)
        if key == "data_store":
            msg = 'pd.inputs["data_store"] is reserved for later; there is no data store yet.'
            raise InputsError(msg)
        tables = self._load()
        if key not in tables:
            msg = f"{missing(key, self)} Add it to {_file()}."
            raise InputsError(msg)
        return _filled_in(tables[key], key)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self:
            return self[name]
        msg = f"pd.inputs has no {name!r}."
        raise AttributeError(msg)

    def __contains__(self, key: object) -> bool:
        return key == "env" or key in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter({"env": None, **self._load()})

    def __len__(self) -> int:
        return len({"env": None, **self._load()})

    def __repr__(self) -> str:
        return "<pd.inputs: its values are hidden>"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), "env"]

    def get(self, key: str, default: Any = None) -> Any:
        """Get the value of `key`, or `default` where there is no such key."""
        return self[key] if key in self else default  # noqa: SIM401  a broken file must raise

    def _load(self) -> dict[str, Any]:
        if self._tables is None:
            self._tables = _read(_file())
        return self._tables


def _file() -> Path:
    return data_dir() / "inputs.toml"


def _read(path: Path) -> dict[str, Any]:
    try:
        _tighten(path)
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        msg = f"{path} can't be read: {error}"
        raise InputsError(msg) from None
    return {key: value for key, value in tables.items() if key not in ("env", "data_store")}


def _tighten(path: Path) -> None:
    """Take a file of secrets away from everyone but its owner."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name != "posix" or not mode & 0o177:
        return
    path.chmod(0o600)
    text = f"{path} could be used by others (mode {mode:o}); its mode is 600 now."
    warnings.warn(text, stacklevel=2)


def _filled_in(value: Any, path: str) -> Any:
    if isinstance(value, list):
        return [_filled_in(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if list(value) == ["env"] and isinstance(value["env"], str):
        return _variable(value["env"], path)
    return Hidden({key: _filled_in(item, f"{path}.{key}") for key, item in value.items()})


def _variable(name: str, path: str) -> str:
    if name not in os.environ:
        msg = (
            f"{path} in {_file()} takes its value from the environment variable {name}, "
            "which is not set where the kernel runs."
        )
        raise InputsError(msg)
    return os.environ[name]
