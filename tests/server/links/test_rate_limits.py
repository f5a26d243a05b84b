"""How many unknown links an address may try."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import TooManyAttemptsError
from jupyter_pdflow.server.links.clients import (
    MAX_ADDRESSES,
    MAX_ATTEMPTS,
    RECOVERY_SECONDS,
    RateLimiter,
)

FIRST, SECOND = "192.0.2.1", "192.0.2.2"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait_after(rate_limiter: RateLimiter, address: str | None) -> int:
    """Count an attempt; return the seconds until the next one, or 0 if this one was allowed."""
    try:
        rate_limiter.count(address)
    except TooManyAttemptsError as error:
        return error.seconds
    return 0


def use_up(rate_limiter: RateLimiter, address: str) -> None:
    for _ in range(MAX_ATTEMPTS):
        assert wait_after(rate_limiter, address) == 0


def test_after_the_maximum_an_address_has_to_wait() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)
    use_up(rate_limiter, FIRST)
    wait = wait_after(rate_limiter, FIRST)
    assert 0 < wait <= RECOVERY_SECONDS
    assert wait_after(rate_limiter, FIRST) == wait
    assert wait_after(rate_limiter, SECOND) == 0
    clock.now += wait
    assert wait_after(rate_limiter, FIRST) == 0
    assert wait_after(rate_limiter, FIRST) > 0


def test_all_attempts_are_recovered() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)
    use_up(rate_limiter, FIRST)
    clock.now += RECOVERY_SECONDS
    use_up(rate_limiter, FIRST)
    assert wait_after(rate_limiter, FIRST) > 0


def test_an_ipv6_subnet_counts_as_one_address() -> None:
    rate_limiter = RateLimiter(Clock())
    for number in range(MAX_ATTEMPTS):
        assert wait_after(rate_limiter, f"2001:db8::{number:x}") == 0
    assert wait_after(rate_limiter, "2001:db8::ffff:1") > 0
    assert wait_after(rate_limiter, "2001:db8:0:1::1") == 0


def test_an_ipv4_address_is_the_same_in_ipv6_notation() -> None:
    rate_limiter = RateLimiter(Clock())
    use_up(rate_limiter, FIRST)
    assert wait_after(rate_limiter, f"::ffff:{FIRST}") > 0
    assert wait_after(rate_limiter, f"::ffff:{SECOND}") == 0


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "/run/socket", "fe80::1%eth0"])
def test_any_text_is_an_address(address: str | None) -> None:
    rate_limiter = RateLimiter(Clock())
    waits = [wait_after(rate_limiter, address) for _ in range(MAX_ATTEMPTS + 1)]
    assert [wait > 0 for wait in waits] == [False] * MAX_ATTEMPTS + [True]


def test_only_the_latest_addresses_are_kept() -> None:
    rate_limiter = RateLimiter(Clock())
    for number in range(MAX_ADDRESSES * 2):
        rate_limiter.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number % (MAX_ADDRESSES // MAX_ATTEMPTS) == 0:
            wait_after(rate_limiter, FIRST)
    assert len(rate_limiter) == MAX_ADDRESSES
    assert wait_after(rate_limiter, FIRST) > 0


@given(st.lists(st.floats(0, RECOVERY_SECONDS)))
def test_no_pattern_of_attempts_exceeds_the_rate(pauses: list[float]) -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)
    allowed = []
    for pause in itertools.chain(pauses, [0.0] * MAX_ATTEMPTS):
        clock.now += pause
        if wait_after(rate_limiter, FIRST) == 0:
            allowed.append(clock.now)
    for at in allowed:
        within = [other for other in allowed if at <= other < at + RECOVERY_SECONDS]
        assert len(within) <= 2 * MAX_ATTEMPTS
