"""What is kept in memory of the records that were used last."""

from __future__ import annotations

from jupyter_pdflow.stores.tinydb.records import Recent


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    recent = Recent(100)
    for number in range(10):
        recent.keep(str(number), (number, 0, 30), number)
    assert [
        number for number in range(10) if recent.get(str(number), (number, 0, 30)) is not None
    ] == [7, 8, 9]
    assert recent.get("7", (7, 0, 30)) == 7
    recent.keep("10", (10, 0, 30), 10)
    assert recent.get("8", (8, 0, 30)) is None
    assert recent.get("7", (7, 0, 30)) == 7


def test_a_record_is_used_as_long_as_its_file_is_the_same() -> None:
    recent = Recent(100)
    recent.keep("a", (1, 1, 60), "old")
    assert recent.get("a", (1, 2, 60)) is None
    recent.keep("a", (1, 2, 60), "new")
    recent.keep("b", (2, 1, 40), "b")
    assert (recent.get("a", (1, 2, 60)), recent.get("b", (2, 1, 40))) == ("new", "b")


def test_the_newest_is_kept_however_large() -> None:
    recent = Recent(100)
    recent.keep("small", (1, 1, 10), "small")
    recent.keep("large", (2, 1, 10_000), "large")
    assert recent.get("small", (1, 1, 10)) is None
    assert recent.get("large", (2, 1, 10_000)) == "large"
    recent.keep("other", (3, 1, 10), "other")
    assert recent.get("large", (2, 1, 10_000)) is None
    assert recent.get("other", (3, 1, 10)) == "other"
