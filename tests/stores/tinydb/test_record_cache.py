"""The cache of records that were used last."""

from __future__ import annotations

from jupyter_pdflow.stores.tinydb.records import RecordCache


def test_the_oldest_records_are_dropped_beyond_the_limit() -> None:
    cache = RecordCache(100)
    for number in range(10):
        cache.put(str(number), (number, 0, 30), number)
    assert [
        number for number in range(10) if cache.get(str(number), (number, 0, 30)) is not None
    ] == [7, 8, 9]
    assert cache.get("7", (7, 0, 30)) == 7
    cache.put("10", (10, 0, 30), 10)
    assert cache.get("8", (8, 0, 30)) is None
    assert cache.get("7", (7, 0, 30)) == 7


def test_a_record_is_valid_as_long_as_its_file_has_the_same_stamp() -> None:
    cache = RecordCache(100)
    cache.put("a", (1, 1, 60), "old")
    assert cache.get("a", (1, 2, 60)) is None
    cache.put("a", (1, 2, 60), "new")
    cache.put("b", (2, 1, 40), "b")
    assert (cache.get("a", (1, 2, 60)), cache.get("b", (2, 1, 40))) == ("new", "b")


def test_the_newest_record_is_cached_whatever_its_size() -> None:
    cache = RecordCache(100)
    cache.put("small", (1, 1, 10), "small")
    cache.put("large", (2, 1, 10_000), "large")
    assert cache.get("small", (1, 1, 10)) is None
    assert cache.get("large", (2, 1, 10_000)) == "large"
    cache.put("other", (3, 1, 10), "other")
    assert cache.get("large", (2, 1, 10_000)) is None
    assert cache.get("other", (3, 1, 10)) == "other"
