"""Building blocks of ``pd``.

Mappings whose values are read as attributes or items, messages about missing names, and the scope
that ends with the step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn

from jupyter_pdflow.exceptions import (
    MissingAttributeError,
    MissingKeyError,
    StepOverError,
)

NAMES_LISTED = 20
"""Maximum number of names in the message about a missing one."""


class PdPart:
    """Base of the parts of ``pd``: a missing attribute's error lists those that there are."""

    _name: ClassVar[str]

    def __getattr__(self, name: str) -> NoReturn:
        raise MissingAttributeError(no_attribute(self._name, name, vars(type(self))))


class Attrs(dict[str, Any]):
    """A `dict` whose values can be read as attributes: ``d.name`` is ``d["name"]``.

    A key that is also the name of a `dict` method (``items``, ``keys``, ``get``, …) can only be
    read as an item: ``d.items`` is the method, ``d["items"]`` is the value.

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
        """Return the mapping as an HTML tree that can be folded."""
        from jupyter_pdflow.pd.exports import tree_html

        return tree_html(self)

    def copy(self) -> Attrs:
        """Return a shallow copy."""
        return type(self)(self)


def attrs(value: Any) -> Any:
    """Return a copy of a JSON value with `Attrs` in place of each dict, at every depth."""
    if isinstance(value, Mapping):
        return Attrs({key: attrs(item) for key, item in value.items()})
    if isinstance(value, list):
        return [attrs(item) for item in value]
    return value


def missing(name: object, present: Iterable[object]) -> str:
    """Return the message that a name is missing; it lists the names that are present."""
    names = [repr(key) for key in present]
    more = f" and {len(names) - NAMES_LISTED} more" if len(names) > NAMES_LISTED else ""
    there = f"there is {', '.join(names[:NAMES_LISTED])}{more}" if names else "it is empty"
    return f"There is no {name!r} here; {there}."


def no_attribute(owner: str, name: str, present: Iterable[str]) -> str:
    """Return the message that `owner` lacks an attribute; it lists the public ones it has."""
    names = ", ".join(sorted(each for each in present if not each.startswith("_")))
    return f"{owner} has no {name!r}; it has {names}."


class Scope:
    """The time in which a step's ``pd`` can be used: from the handler's call to its end."""

    def __init__(self) -> None:
        self._over = False
        self._warned: set[str] = set()

    def end(self) -> None:
        """End the scope: from now on `check` raises, because calls would have no effect."""
        self._over = True

    def check(self, call: str) -> None:
        """Raise an error if the step is over.

        Parameters
        ----------
        call : str
            The name of the method that was called, such as ``pd.flow.suspend``.

        Raises
        ------
        StepOverError
            The step is over.
        """
        if self._over:
            msg = (
                f"{call} was called after its step was over, where it can do nothing; call it in "
                "the handler, and wait there for threads and tasks that use pd."
            )
            raise StepOverError(msg)

    def warn(self, text: str) -> None:
        """Write a warning to the step's output; the same text is written once per step."""
        # Not by `warnings.warn`: it writes a text once per process, and a kernel serves many runs.
        if text not in self._warned:
            self._warned.add(text)
            write_warning(text)


def write_warning(text: str) -> None:
    """Write a warning to the output of the step that is executing."""
    sys.stderr.write(f"Warning: {text}\n")
