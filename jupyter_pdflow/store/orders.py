"""One durable write of a record, whoever carries it out."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from msgspec import Raw, Struct

from jupyter_pdflow.store.spares import Spares
from jupyter_pdflow.store.storage import write_record
from jupyter_pdflow.store.threads import in_thread

Stamp: TypeAlias = tuple[int, int, int]
"""What tells one state of a file from another."""


class Order(Struct, frozen=True, array_like=True):
    """A record to be written, and the file that goes when this is done.

    Attributes
    ----------
    path : str
        The record's file.
    table : str
        What the record is called in it.
    fields : Raw
        The record's fields, as a JSON object.
    leaving : str, optional
        A file that is removed then, without syncing that.
    """

    path: str
    table: str
    fields: Raw
    leaving: str | None = None


Write: TypeAlias = Callable[[Order], Awaitable[Stamp]]
"""Carries out an order; raises `OSError`."""


async def write_in_thread(order: Order) -> Stamp:
    """Carry out an order beside the event loop."""
    return await in_thread(carry_out, order)


def carry_out(order: Order, spares: Spares | None = None) -> Stamp:
    """Write the record; durable when this returns.

    Parameters
    ----------
    order : Order
    spares : Spares, optional
        Files to write in place of new ones, where that is possible.

    Raises
    ------
    OSError
        It could not be written.
    """
    if spares is not None:
        with suppress(OSError):
            return _carry_out(order, spares)
    return _carry_out(order, None)


def _carry_out(order: Order, spares: Spares | None) -> Stamp:
    write_record(Path(order.path), bytes(order.fields), order.table, spares)
    if order.leaving is not None:
        with suppress(OSError):
            _remove(order.leaving, spares)
    return stamp_of(order.path)


def _remove(name: str, spares: Spares | None) -> None:
    if spares is None or not spares.move(name):
        Path(name).unlink()


def stamp_of(path: str | Path) -> Stamp:
    """Tell a state of a file from others; `OSError` where it is none."""
    status = os.stat(path)  # noqa: PTH116  half the time of Path.stat
    if not stat.S_ISREG(status.st_mode):
        msg = f"{os.path.basename(path)} is not a file"  # noqa: PTH119
        raise OSError(msg)
    return status.st_ino, status.st_mtime_ns, status.st_size
