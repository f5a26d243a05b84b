"""Who opens a link: the kinds of clients, and limits on their rate.

===========  =======================================================  =======  =======
visitor      is                                                       acts     answer
===========  =======================================================  =======  =======
safe         HEAD, OPTIONS                                            no       no body
prefetch     a browser that loads ahead of a click                    no       503
bot          a known crawler or link preview, or what calls itself    no       page
             one
page         a browser that opens the link                            no       page, whose
                                                                               script acts
form         a browser that sends the page's form                     yes      page
program      anyone else                                              yes      JSON
===========  =======================================================  =======  =======
"""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Literal, TypeAlias

from jupyter_pdflow.exceptions import TooManyAttemptsError

AT_ONCE = 60
"""Wrong tries that an address has."""

SECONDS = 60.0
"""In which an address that has used them up gets all of them back, one after another."""

MOST_ADDRESSES = 10_000
SUBNET_BITS = 64
"""Low bits of an IPv6 address that its owner chooses."""


class RateLimiter:
    """Counts wrong tries per address, for the latest `MOST_ADDRESSES` of them.

    Each try lasts ``SECONDS / AT_ONCE``; the time by which those of an address are over is all
    that is kept of it (the generic cell rate algorithm).

    Parameters
    ----------
    clock : callable
        Tells the time in seconds; only differences matter.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._over_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Tell how many addresses are kept."""
        return len(self._over_at)

    def count(self, address: str | None) -> None:
        """Count a wrong try.

        Parameters
        ----------
        address : str or None
            Where it came from.

        Raises
        ------
        TooManyTriesError
            There were too many; this one was not counted.
        """
        now, owner = self._clock(), _owner(address or "")
        over_at = max(self._over_at.pop(owner, now), now)
        wait = over_at + SECONDS / AT_ONCE - (now + SECONDS)
        self._over_at[owner] = over_at if wait > 0 else over_at + SECONDS / AT_ONCE
        if len(self._over_at) > MOST_ADDRESSES:
            self._over_at.popitem(last=False)
        if wait > 0:
            raise TooManyAttemptsError(math.ceil(wait))


def _owner(address: str) -> str:
    """Tell whose address it is: an IPv6 address stands for its whole subnet."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped or int(known) >> SUBNET_BITS)


ClientKind: TypeAlias = Literal["program", "form", "page", "bot", "prefetch", "safe"]

TOOLS = frozenset({"http-library", "browser-automation"})
"""Tags of user agents that people drive: they are no bots here (curl, HeadlessChrome, …)."""

READERS = frozenset({"social-preview", "search-engine"})
"""Tags of bots that only ever read. The others are believed when they POST: Stripe, Zapier and
Google Apps Script are in the same list, and they do call back."""

CALLERS = frozenset({"AppEngine-Google", r"TwilioProxy\/"})
"""Patterns of the list that are tagged as readers although services call back with them."""

CALLS_ITSELF = re.compile(r"(?i:(?<!cu)bots?|crawlers?|spiders?|scanners?|previews?)(?![a-z])")
"""What names itself a reader, known or not: `Zoombot/1.0`, `LinkPreview/1.0`, `Server Crawler`.

Not `botocore`, which is a program's, nor a Cubot, which is a telephone.
"""

USER_AGENT_LENGTH = 1000
"""Characters of a user agent that are looked at; longer ones are somebody's joke."""


def classify(method: str, headers: Mapping[str, str]) -> ClientKind:
    """Tell who sends a request.

    Parameters
    ----------
    method : str
        The HTTP method, in upper case.
    headers : mapping of str to str
        The request's headers; looked up by their usual names.
    """
    if method in ("HEAD", "OPTIONS"):
        return "safe"
    if _is_prefetch(headers):
        return "prefetch"
    if _is_bot(method, headers):
        return "bot"
    if not _is_navigation(method, headers):
        return "program"
    return "page" if method == "GET" else "form"


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    purposes = (headers.get("Sec-Purpose", ""), headers.get("Purpose", ""))
    if any("prefetch" in purpose.lower() for purpose in purposes):
        return True
    preview = headers.get("X-Purpose", "").lower() == "preview"
    return preview or headers.get("X-Moz", "").lower() == "prefetch"


def _is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    mode = headers.get("Sec-Fetch-Mode", "").lower()
    if mode == "navigate" or headers.get("Sec-Fetch-Dest", "").lower() == "document":
        return True
    if mode:
        return False
    if "text/html" in headers.get("Accept", "").lower():
        return True
    agent = headers.get("User-Agent", "")
    return method == "GET" and agent.startswith("Mozilla/") and "PowerShell" not in agent


def _is_bot(method: str, headers: Mapping[str, str]) -> bool:
    agent = headers.get("User-Agent", "")[:USER_AGENT_LENGTH]
    tags = _tags_of(agent)
    if method == "GET":
        return bool(tags) or CALLS_ITSELF.search(agent) is not None
    if not tags & READERS:
        return False
    # Some apps give the browser inside them the name of their preview bot; a bot never clicks.
    return headers.get("Sec-Fetch-User") != "?1"


@lru_cache(maxsize=1024)
def _tags_of(agent: str) -> frozenset[str]:
    """Get the tags of all known bots that a user agent matches."""
    if not agent:
        return frozenset()
    return frozenset().union(*(tags for pattern, tags in _bots() if pattern.search(agent)))


@cache
def _bots() -> list[tuple[re.Pattern[str], frozenset[str]]]:
    """Compile one pattern for all bots with the same tags."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    patterns: dict[frozenset[str], list[str]] = {}
    for bot in CRAWLER_USER_AGENTS_DATA:
        tags = frozenset({"caller"} if bot["pattern"] in CALLERS else bot.get("tags", ()))
        if not tags & TOOLS:
            patterns.setdefault(tags, []).append(bot["pattern"])
    return [(re.compile("|".join(found)), tags) for tags, found in patterns.items()]
