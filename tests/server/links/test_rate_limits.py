"""How often an address may be wrong."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import TooManyAttemptsError
from jupyter_pdflow.server.links.clients import AT_ONCE, MOST_ADDRESSES, SECONDS, RateLimiter

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait_after(rate_limiter: RateLimiter, address: str | None) -> int:
    """Try once; tell how long to wait for the next, 0 where this one was let through."""
    try:
        rate_limiter.count(address)
    except TooManyAttemptsError as error:
        return error.seconds
    return 0


def use_up(rate_limiter: RateLimiter, address: str) -> None:
    for _ in range(AT_ONCE):
        assert wait_after(rate_limiter, address) == 0


def test_so_many_are_free_and_then_it_takes_time() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)
    use_up(rate_limiter, HERE)
    wait = wait_after(rate_limiter, HERE)
    assert 0 < wait <= SECONDS
    assert wait_after(rate_limiter, HERE) == wait
    assert wait_after(rate_limiter, THERE) == 0
    clock.now += wait
    assert wait_after(rate_limiter, HERE) == 0
    assert wait_after(rate_limiter, HERE) > 0


def test_all_come_back() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)
    use_up(rate_limiter, HERE)
    clock.now += SECONDS
    use_up(rate_limiter, HERE)
    assert wait_after(rate_limiter, HERE) > 0


def test_an_ipv6_subnet_is_one_address() -> None:
    rate_limiter = RateLimiter(Clock())
    for number in range(AT_ONCE):
        assert wait_after(rate_limiter, f"2001:db8::{number:x}") == 0
    assert wait_after(rate_limiter, "2001:db8::ffff:1") > 0
    assert wait_after(rate_limiter, "2001:db8:0:1::1") == 0


def test_an_ipv4_address_is_one_however_it_is_written() -> None:
    rate_limiter = RateLimiter(Clock())
    use_up(rate_limiter, HERE)
    assert wait_after(rate_limiter, f"::ffff:{HERE}") > 0
    assert wait_after(rate_limiter, f"::ffff:{THERE}") == 0


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "/run/socket", "fe80::1%eth0"])
def test_any_address_will_do(address: str | None) -> None:
    rate_limiter = RateLimiter(Clock())
    waits = [wait_after(rate_limiter, address) for _ in range(AT_ONCE + 1)]
    assert [wait > 0 for wait in waits] == [False] * AT_ONCE + [True]


def test_memory_is_bounded_and_the_latest_are_kept() -> None:
    rate_limiter = RateLimiter(Clock())
    for number in range(MOST_ADDRESSES * 2):
        rate_limiter.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number % (MOST_ADDRESSES // AT_ONCE) == 0:
            wait_after(rate_limiter, HERE)
    assert len(rate_limiter) == MOST_ADDRESSES
    assert wait_after(rate_limiter, HERE) > 0


@given(st.lists(st.floats(0, SECONDS)))
def test_no_pattern_gets_more_than_its_share(pauses: list[float]) -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)
    let_through = []
    for pause in itertools.chain(pauses, [0.0] * AT_ONCE):
        clock.now += pause
        if wait_after(rate_limiter, HERE) == 0:
            let_through.append(clock.now)
    for at in let_through:
        within = [other for other in let_through if at <= other < at + SECONDS]
        assert len(within) <= 2 * AT_ONCE
