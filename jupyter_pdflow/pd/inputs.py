"""``pd.inputs``: the environment and the secrets in ``inputs.toml``, also for remote kernels."""

from __future__ import annotations

import os
import stat
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from jupyter_pdflow.exceptions import InputsError
from jupyter_pdflow.pd.attrs import Attrs, missing
from jupyter_pdflow.settings import DATA_DIR_VARIABLE

INPUTS = "inputs.toml"
"""The file in the data directory with the secrets of `pd.inputs`."""


def data_dir() -> Path:
    """Return the server's data directory, which holds ``inputs.toml``."""
    chosen = os.environ.get(DATA_DIR_VARIABLE)
    if chosen:
        return Path(chosen)
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "pdflow"


class HiddenAttrs(Attrs):
    """A mapping whose `repr` shows its keys and never its values."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<hidden: {', '.join(map(repr, self)) or 'empty'}>"


class GivenInputs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The server's ``inputs.toml``, for a kernel on another machine.

    Attributes
    ----------
    path : str
        The path of the file on the server.
    text : str
        The content of the file; empty if there is a `problem`.
    problem : str
        Why the file can't be used; empty if it can.
    variables : dict
        The environment variables that the file names and that are set on the server.
    """

    path: str
    text: str = ""
    problem: str = ""
    variables: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<hidden: the content of {self.path}>"


def given_inputs() -> GivenInputs:
    """Read this machine's ``inputs.toml`` and the environment variables that it names.

    Returns
    -------
    GivenInputs
        With a ``problem`` if the file can't be used.
    """
    path = _file()
    try:
        text = _text(path)
        names = set(_names(_parsed(text, path)))
    except InputsError as error:
        return GivenInputs(path=str(path), problem=str(error))
    variables = {  # bytes that are not UTF-8 can't be sent as JSON, so they are replaced
        name: os.environ[name].encode(errors="replace").decode()
        for name in names
        if name in os.environ
    }
    return GivenInputs(path=str(path), text=text, variables=variables)


class Inputs(Mapping[str, Any]):
    """``env``, which is the environment, and the tables of ``inputs.toml`` by their names.

    The file is read when a key other than ``env`` is read first. A table ``{env = "NAME"}`` in it
    stands for the value of that environment variable. No `repr` shows a value.

    Parameters
    ----------
    given : GivenInputs, optional
        The file as the server has read it; by default it is read from this machine.

    Raises
    ------
    InputsError
        When a key is read: there is no such key, the file can't be read, or an environment variable
        that the value needs is not set.
    """

    def __init__(self, given: GivenInputs | None = None) -> None:
        self._given = given
        self._tables: dict[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        if key == "env":
            return HiddenAttrs(os.environ)
        tables = {} if key == "data_store" else self._load()
        if key not in tables and _is_data_store(key):
            msg = (
                f"pd.inputs[{key!r}] would be a data store, and there are none yet; keep the data in a "
                "file or in SQLite (sqlite3)."
            )
            raise InputsError(msg)
        if key not in tables:
            msg = f"{missing(key, self)} Add it to {self._path}."
            raise InputsError(msg)
        return self._filled_in(tables[key], key)

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
        """Return the value of `key`, or `default` if there is no such key.

        Raises
        ------
        InputsError
            The file can't be read, or an environment variable that the value needs is not set.
        """
        # `Mapping.get` would take these errors, which are KeyErrors too, for a missing key.
        return self[key] if key in self else default  # noqa: SIM401

    @property
    def _path(self) -> Path:
        return _file() if self._given is None else Path(self._given.path)

    def _load(self) -> dict[str, Any]:
        if self._tables is None:
            tables = _parsed(self._text(), self._path)
            reserved = ("env", "data_store")
            self._tables = {key: value for key, value in tables.items() if key not in reserved}
        return self._tables

    def _text(self) -> str:
        if self._given is None:
            return _text(_file())
        if self._given.problem:
            raise InputsError(self._given.problem)
        return self._given.text

    def _filled_in(self, value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [self._filled_in(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        name = _variable_in(value)
        if name is not None:
            return self._variable(name, path)
        return HiddenAttrs(
            {key: self._filled_in(item, f"{path}.{key}") for key, item in value.items()}
        )

    def _variable(self, name: str, path: str) -> str:
        given = {} if self._given is None else self._given.variables
        value = given.get(name, os.environ.get(name))
        if value is None:
            where = "the kernel runs" if self._given is None else "the server or the kernel runs"
            msg = (
                f"{path} in {self._path} takes its value from the environment variable {name}, "
                f"which is not set where {where}."
            )
            raise InputsError(msg)
        return value


def _is_data_store(key: object) -> bool:
    """Whether the key is one of Pipedream's names of data stores, such as ``data_store_1``."""
    return isinstance(key, str) and key.startswith("data_store")


def _file() -> Path:
    return data_dir() / INPUTS


def _text(path: Path) -> str:
    try:
        _tighten(path)
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputsError:
    return InputsError(f"{path} can't be read: {error}")


def _variable_in(table: dict[str, Any]) -> str | None:
    """Return the name in a table ``{env = "NAME"}``, or None if the table is another one."""
    name = table.get("env") if len(table) == 1 else None
    return name if isinstance(name, str) else None


def _names(value: Any) -> Iterator[str]:
    """Yield the environment variables that a value of the file refers to."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, dict):
        name = _variable_in(value)
        if name is not None:
            yield name
        for item in value.values():
            yield from _names(item)


def _tighten(path: Path) -> None:
    """Make a file of secrets readable for its owner only, and warn if it was not."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name != "posix" or not mode & 0o177:
        return
    path.chmod(0o600)
    text = f"{path} could be used by others (mode {mode:o}); its mode is 600 now."
    warnings.warn(text, stacklevel=2)
