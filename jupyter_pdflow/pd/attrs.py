"""What the parts of ``pd`` are made of: values by attribute or item, and their scope."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn

from jupyter_pdflow.exceptions import (
    MissingAttributeError,
    MissingKeyError,
    StepOverError,
)

NAMES_SHOWN = 20


class Named:
    """A part of ``pd`` that says what it has where it is asked for something else."""

    _name: ClassVar[str]

    def __getattr__(self, name: str) -> NoReturn:
        raise MissingAttributeError(no_attribute(self._name, name, vars(type(self))))


class Attrs(dict[str, Any]):
    """A `dict` whose values can be read as attributes: ``d.name`` is ``d["name"]``.

    A key that is also the name of a `dict` method (``items``, ``keys``, ``get``, …) is read
    as an item only: ``d.items`` stays the method, ``d["items"]`` is the value.

    Examples
    --------
    >>> order = attrs({"id": 7, "lines": [{"sku": "x"}]})
    >>> order.lines[0].sku
    'x'
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise MissingAttributeError(self._missing(name))

    def __missing__(self, key: object) -> Any:
        raise MissingKeyError(self._missing(key))

    def _missing(self, name: object) -> str:
        return missing(name, self)

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *(name for name in self if str(name).isidentifier())]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def _repr_html_(self) -> str:
        """Show a tree that folds, where HTML is shown."""
        from jupyter_pdflow.pd.exports import tree_html

        return tree_html(self)

    def copy(self) -> Attrs:
        """Copy this mapping, but not the values in it."""
        return type(self)(self)


def attrs(value: Any) -> Any:
    """Copy a JSON value with `Attrs` in place of every dict, at every depth."""
    if isinstance(value, Mapping):
        return Attrs({key: attrs(item) for key, item in value.items()})
    if isinstance(value, list):
        return [attrs(item) for item in value]
    return value


def missing(name: object, present: Iterable[object]) -> str:
    """Say that a name is missing, and which names there are."""
    names = [repr(key) for key in present]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    there = f"there is {', '.join(names[:NAMES_SHOWN])}{more}" if names else "it is empty"
    return f"There is no {name!r} here; {there}."


def no_attribute(owner: str, name: str, there: Iterable[str]) -> str:
    """Say that something has no such attribute, and which it has."""
    names = ", ".join(sorted(one for one in there if not one.startswith("_")))
    return f"{owner} has no {name!r}; it has {names}."


class Scope:
    """The time from a handler's call to its end."""

    def __init__(self) -> None:
        self._over = False
        self._told: set[str] = set()

    def end(self) -> None:
        """Note that the step is over: what is asked for from now on would be lost."""
        self._over = True

    def check(self, call: str) -> None:
        """Make sure that the step is not over.

        Parameters
        ----------
        call : str
            What is being called, such as ``pd.flow.suspend``.

        Raises
        ------
        StepOverError
            It is.
        """
        if self._over:
            msg = (
                f"{call} was called after its step was over, where it can do nothing; call it in "
                "the handler, and wait there for threads and tasks that use pd."
            )
            raise StepOverError(msg)

    def warn(self, text: str) -> None:
        """Write a warning to the step's output, each one once.

        Not by `warnings.warn`, which in a kernel that is used again would leave out what an
        earlier run was told.
        """
        if text not in self._told:
            self._told.add(text)
            write_warning(text)


def write_warning(text: str) -> None:
    """Write a warning to the output of the step that is executing."""
    sys.stderr.write(f"Warning: {text}\n")
