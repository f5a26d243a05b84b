"""What a search in runs looks at, and how its words are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias
from unicodedata import normalize

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import MAX_SEARCH_CHARACTERS, MAX_SEARCH_WORDS, RunSummary
from jupyter_pdflow.stores.validation import is_id

TEXT_LIMIT = 1_000
"""Maximum number of characters of a run that a search looks at."""

AnyRun: TypeAlias = Run | RunSummary


def search_text(run: AnyRun) -> str:
    """Return what a search in a run looks at: title, workflow's name, texts of the event, folded."""
    title = getattr(run, "title", None)
    parts = [title, run.workflow_name] if title else [run.workflow_name]
    room = TEXT_LIMIT - sum(map(len, parts))
    for text in _texts_in(getattr(run, "event", None)):
        if room <= 0:
            break
        parts.append(text[:room])
        room -= len(text) + 1
    return fold(" ".join(parts)[:TEXT_LIMIT])


def fold(text: str) -> str:
    """Return a text in the form in which texts are compared: without case, and without NUL."""
    return normalize("NFKC", text).casefold().replace("\0", " ")


def words_of(search: str) -> list[str]:
    """Return the words of a search, folded; databases refuse a statement with a thousand words."""
    return fold(search[:MAX_SEARCH_CHARACTERS]).split()[:MAX_SEARCH_WORDS]


def run_id_in(search: str) -> str:
    """Return the search itself if it may be the id of a run, else an empty text."""
    text = search.strip()
    return text if is_id(text) else ""


def _texts_in(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a JSON value, in order; the keys of objects are left out."""
    rest = [iter([value])]
    while rest:
        inner = next(rest[-1], rest)
        if inner is rest:
            rest.pop()
        elif isinstance(inner, dict):
            rest.append(iter(inner.values()))
        elif isinstance(inner, list | tuple):
            rest.append(iter(inner))
        elif isinstance(inner, str | int | float) and not isinstance(inner, bool):
            yield str(inner)
