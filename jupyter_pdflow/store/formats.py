"""The version of the stored records' format, and the way there from older ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError

Fields = dict[str, Any]

FORMAT = 1
"""The version that is written; a file of a newer one is left alone."""

OLDEST = 1
"""The version that the first release wrote."""

MIGRATIONS: dict[int, Callable[[str, Fields], Fields]] = {}
"""What makes version n + 1 of a record of version n, given its table (``run``, ``mail``, …).

There is one for each version from `OLDEST` to the one before `FORMAT`. A record is migrated when
it is read; its file has the new form after the next write.
"""


def migrate(fields: Fields, table: str, name: str) -> Fields:
    """Bring a stored record to today's format, one version at a time.

    Parameters
    ----------
    fields : dict
        The record as it was stored; ``format`` is its version.
    table : str
        What the record is.
    name : str
        The name of its file, for messages.

    Raises
    ------
    NewerFormatError
        A newer version of this package wrote it.
    StoredFileError
        Its version is none that there ever was.
    """
    version = fields.get("format")
    if type(version) is not int or version < OLDEST:
        msg = f"{name} has no known format ({version!r})."
        raise StoredFileError(msg)
    if version > FORMAT:
        msg = f"{name} was written by a newer jupyter_pdflow (format {version})."
        raise NewerFormatError(msg)
    for number in range(version, FORMAT):
        fields = {**MIGRATIONS[number](table, fields), "format": number + 1}
    return fields
