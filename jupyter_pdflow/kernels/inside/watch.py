"""Find the objects of the setup that a step has changed in place.

A kernel executes many steps, and each of them has to start from what the setup left. The worker
restores the names that a step sets; this module finds changed objects. It keeps a shallow copy of
each container that can be reached from the names, and compares later whether the container still
holds the same objects. Arrays are compared by their bytes, large ones by samples. Nothing is
pickled, and no ``__eq__`` is called except that of plain values: the author's may be slow, or
raise.

======================================  ================================================
compared                                not compared
======================================  ================================================
lists, dicts, sets, deques, arrays      what is inside the objects of C extensions
all attributes of local objects         attributes of library objects that begin with _
other attributes of library objects     modules, classes and functions of libraries
defaults and closures of functions      files, connections, iterators, locks, figures
attributes of local classes             writes to a large array between two samples
globals of local modules                what is beyond the limits below
data frames and series of pandas
======================================  ================================================

*Local* is what the notebook defines, and the modules beside it; everything else is a library.
"""

from __future__ import annotations

import array
import functools
import random
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from operator import is_
from time import thread_time
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple, TypeAlias

OBJECTS_LIMIT = 20_000
"""Maximum number of objects that are watched."""

ADD_SECONDS = 0.2
"""CPU time that adding them may take (wall time runs out on a busy machine); the rest is left."""

COMPARE_SECONDS = 0.005
"""CPU time that a comparison may take; what is left then is not compared."""

CLOCK_EVERY = 64
"""Number of objects that are compared before the clock is read again."""

WHOLE_BYTES = 1 << 20
"""Maximum size of an array that is compared completely."""

SAMPLE_BYTES, SAMPLES = 1 << 12, 64
"""Size and number of the samples of a larger array; the first and the last bytes are among them."""

CELLS_LIMIT = 10_000
"""Maximum number of cells of an array of objects that are compared."""

Describe: TypeAlias = Callable[[Any], Any]
"""Describes an object: a list or dict of what it holds, or a plain value that changes with it."""

_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None), type(...), range, slice})
_IMMUTABLE = (*_PLAIN, BuiltinFunctionType, CodeType, CellType)
_NOT_WATCHED = frozenset({"matplotlib", "logging", "threading", "asyncio", "concurrent", "IPython"})
_CLASS_INTERNALS = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "_abc_impl"})
_PANDAS_ARRAY_ATTRIBUTES = ("_ndarray", "_pa_array", "_data", "_mask", "_codes")


class Change(NamedTuple):
    """A changed object: the name that leads to it, the maker of the name, and the path."""

    name: str
    maker: str
    path: str


class _Watched(NamedTuple):
    name: str
    maker: str
    path: str
    describe: Describe
    value: Any
    before: Any


class Watch:
    """The objects that can be reached from some names.

    Parameters
    ----------
    is_local : callable
        Returns whether a module name is local.
    keep : collection of str
        Names whose objects may change, such as caches and connections.
    add_seconds, compare_seconds : float
        CPU time that each call of `add` and of `changes` may take.

    Attributes
    ----------
    random_generators : list
        The generators of random numbers that were found. They are restored, not compared.
    """

    def __init__(
        self,
        is_local: Callable[[str], bool],
        keep: Collection[str] = (),
        *,
        add_seconds: float = ADD_SECONDS,
        compare_seconds: float = COMPARE_SECONDS,
    ) -> None:
        self._add_seconds, self._compare_seconds = add_seconds, compare_seconds
        self._is_local = is_local
        self._keep = frozenset(keep)
        self._watched: list[_Watched] = []
        self._seen: dict[int, Any] = {}
        self.random_generators: list[Any] = []

    def add(self, namespace: Mapping[str, Any], maker: str) -> None:
        """Add what can be reached from these names, as far as the limits allow.

        Parameters
        ----------
        namespace : mapping of str to object
            Names and their objects.
        maker : str
            The code that has defined them, for messages.
        """
        ends = thread_time() + self._add_seconds
        for name in self._keep & namespace.keys():
            self._seen[id(namespace[name])] = namespace[name]
        # Breadth first: if a limit is reached, each name has its nearest objects watched.
        queue = deque(
            (name, name, value) for name, value in namespace.items() if not _is_internal(name)
        )
        while queue and len(self._watched) < OBJECTS_LIMIT and thread_time() < ends:
            name, path, value = queue.popleft()
            if type(value) not in _IMMUTABLE and id(value) not in self._seen:
                self._seen[id(value)] = value
                queue.extend(self._add(name, maker, path, value))

    def changes(self) -> list[Change]:
        """Find what has changed since it was added, at most one change for each name."""
        ends = thread_time() + self._compare_seconds
        found: dict[str, Change] = {}
        for number, watched in enumerate(self._watched):
            if number % CLOCK_EVERY == 0 and thread_time() > ends:
                break
            if watched.name not in found and _has_changed(watched):
                found[watched.name] = Change(watched.name, watched.maker, watched.path)
        return list(found.values())

    def _add(self, name: str, maker: str, path: str, value: Any) -> Iterator[tuple[str, str, Any]]:
        """Add one object; yield what it holds."""
        if _is_random_generator(value):
            self.random_generators.append(value)
            return
        for describe in self._descriptions(value):
            try:
                before = describe(value)
            except Exception:  # noqa: BLE001, S112  the author's objects may raise anything
                continue
            self._watched.append(_Watched(name, maker, path, describe, value, before))
            for part, item in _parts(before):
                yield name, path + part, item

    def _descriptions(self, value: Any) -> list[Describe]:
        """Return how to describe an object; empty if it is not watched."""
        kind = type(value)
        if isinstance(value, FunctionType | type | ModuleType):
            return [_definition] if self._is_local(_module_of(value)) else []
        if (describe := _library_description(value)) is not None:
            return [describe]
        found = [_CONTAINERS[base] for base in kind.__mro__ if base in _CONTAINERS][:1]
        if self._is_local(kind.__module__):
            found.append(_attributes)
        elif kind not in _CONTAINERS and kind.__module__.partition(".")[0] not in _NOT_WATCHED:
            found.append(_public_attributes)
        return found


class _Names(dict[str, Any]):
    """A description by names."""


class _Inner(list[Any]):
    """A description by parts whose paths are that of the object."""


def _has_changed(watched: _Watched) -> bool:
    try:
        now = watched.describe(watched.value)
    except Exception:  # noqa: BLE001  it could be described before
        return True
    return not _same(watched.before, now)


def _same(before: Any, now: Any) -> bool:
    if isinstance(before, dict):
        return (
            len(before) == len(now)
            and all(map(is_, before, now))
            and _same_items(before.values(), now.values())
        )
    if isinstance(before, list):
        return len(before) == len(now) and _same_items(before, now)
    return bool(before == now)


def _same_items(before: Collection[Any], now: Collection[Any]) -> bool:
    return all(map(is_, before, now)) or all(map(_is_same_item, before, now))


def _is_same_item(before: Any, now: Any) -> bool:
    """Whether two values are one object, or equal ones of a type that can't change."""
    if before is now:
        return True
    if type(before) is not type(now):
        return False
    if type(before) is tuple:
        return len(before) == len(now) and all(map(_is_same_item, before, now))
    return type(before) in _PLAIN and (
        before == now or (before != before and now != now)  # noqa: PLR0124  NaN
    )


def _parts(before: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a description, each with its part of the path."""
    if isinstance(before, _Names):
        for name, item in before.items():
            yield f".{name}", item
    elif isinstance(before, dict):
        for key, item in before.items():
            yield f"[{key!r:.40}]", item
    elif isinstance(before, _Inner | frozenset):
        for item in before:
            yield "", item
    elif isinstance(before, list):
        for index, item in enumerate(before):
            yield f"[{index}]", item


def _is_internal(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _module_of(value: FunctionType | type | ModuleType) -> str:
    return str(value.__name__ if isinstance(value, ModuleType) else value.__module__)


# --- how objects are described --------------------------------------------------------


def _definition(value: Any) -> Any:
    """Describe a function, a class or a module."""
    if isinstance(value, FunctionType):
        return _function(value)
    internal = _CLASS_INTERNALS if isinstance(value, type) else frozenset()
    found = vars(value).items()
    return _Names({n: v for n, v in found if n not in internal and not _is_generated(n)})


def _is_generated(name: str) -> bool:
    """Whether Python itself sets a name of a class or a module, some when it is first read."""
    return name.startswith("__") and name not in ("__init__", "__call__")


def _function(value: FunctionType) -> _Names:
    cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
    found = {name: _content(cell) for name, cell in cells}
    found |= {"__defaults__": value.__defaults__, "__kwdefaults__": value.__kwdefaults__}
    return _Names({**found, **value.__dict__})


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _attributes(value: Any) -> _Names:
    found = _Names(getattr(value, "__dict__", None) or {})
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _public_attributes(value: Any) -> _Names:
    """Describe an object of a library by its public attributes, cached properties excepted."""
    found = getattr(value, "__dict__", None) or {}
    kind = type(value)
    return _Names(
        {
            name: item
            for name, item in found.items()
            if not name.startswith("_")
            and not isinstance(getattr(kind, name, None), functools.cached_property)
        }
    )


def _partial(value: functools.partial[Any]) -> _Inner:
    return _Inner([value.func, value.args, value.keywords])


def _method(value: MethodType) -> _Inner:
    return _Inner([value.__self__, value.__func__])


def _buffer(value: Any) -> tuple[int, int]:
    return len(value), zlib.crc32(value)


_CONTAINERS: dict[type, Describe] = {
    **dict.fromkeys((list, tuple, deque, frozenset), list),
    **dict.fromkeys((dict, MappingProxyType), dict),
    set: frozenset,
    bytearray: _buffer,
    array.array: _buffer,
    functools.partial: _partial,
    MethodType: _method,
}


# --- objects of libraries -------------------------------------------------------------


def _is_random_generator(value: Any) -> bool:
    """Whether an object is a generator of random numbers, which is restored, not compared."""
    kind = type(value)
    if kind.__module__.startswith("numpy.random"):
        return hasattr(value, "bit_generator") or hasattr(value, "get_state")
    return isinstance(value, random.Random) and not isinstance(value, random.SystemRandom)


def _library_description(value: Any) -> Describe | None:
    """Return how to describe an object of a type that a library has in C; None for other types."""
    for kind in type(value).__mro__:
        describe = _LIBRARY.get((kind.__module__.partition(".")[0], kind.__name__))
        if describe is not None:
            return describe
    return None


def _numpy_array(value: Any) -> Any:
    if value.dtype.hasobject:
        return list(value.flat[:CELLS_LIMIT])
    return value.shape, value.dtype.str, _bytes_of(value)


def _bytes_of(value: Any) -> int | None:
    """Return a checksum of the bytes of an array: of all of them, or of samples."""
    if value.nbytes <= WHOLE_BYTES:
        return zlib.crc32(value.tobytes())
    if not value.flags.forc:
        step = value.nbytes // (SAMPLES * SAMPLE_BYTES) + 1
        return zlib.crc32(value.flat[::step].tobytes())
    content = value.ravel(order="K").view("u1")
    last, found = content.size - SAMPLE_BYTES, 0
    for number in range(SAMPLES):
        start = last * number // (SAMPLES - 1)
        found = zlib.crc32(content[start : start + SAMPLE_BYTES], found)
    return found


def _pandas_frame(value: Any) -> _Inner:
    manager = value._mgr
    return _Inner([*manager.axes, *(block.values for block in manager.blocks)])


def _pandas_array(value: Any) -> _Inner:
    return _Inner(getattr(value, name, None) for name in _PANDAS_ARRAY_ATTRIBUTES)


def _nothing(_value: Any) -> None:
    """Describe an object that can't change."""


def _tensor(value: Any) -> tuple[Any, ...]:
    return value._version, value.data_ptr(), tuple(value.shape)


_LIBRARY: dict[tuple[str, str], Describe] = {
    ("numpy", "ndarray"): _numpy_array,
    ("pandas", "NDFrame"): _pandas_frame,
    ("pandas", "ExtensionArray"): _pandas_array,
    ("pandas", "Index"): _nothing,
    ("polars", "DataFrame"): _nothing,
    ("torch", "Tensor"): _tensor,
}
"""By package and name of a type.

``_mgr`` of pandas and ``_version`` of torch are private names. If one
disappears, changes of these objects are no longer found, and nothing else happens.
"""
