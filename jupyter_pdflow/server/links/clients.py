"""Clients of links: which kind of client sends a request, and how many unknown links it may try.

===========  =======================================================  =======  =======
kind         client                                                   acts     answer
===========  =======================================================  =======  =======
safe         any, by HEAD or OPTIONS                                  no       no body
prefetch     a browser that loads a page before a click               no       503
bot          a known crawler or link preview, or a client whose       no       page
             user agent calls itself one
page         a browser that opens the link                            no       page, whose
                                                                               script acts
form         a browser that sends the page's form                     yes      page
program      any other                                                yes      JSON
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

# --- kinds of clients ---

ClientKind: TypeAlias = Literal["program", "form", "page", "bot", "prefetch", "safe"]

TOOL_TAGS = frozenset({"http-library", "browser-automation"})
"""Tags of user agents that are not bots here, because people use them: curl, HeadlessChrome, …"""

READER_TAGS = frozenset({"social-preview", "search-engine"})
"""Tags of bots that never act. Other bots act when they POST: the list of bots also has
services that call back, such as Stripe, Zapier and Google Apps Script."""

CALLBACK_PATTERNS = frozenset({"AppEngine-Google", r"TwilioProxy\/"})
"""Patterns of the list of bots that are tagged as readers, although services call back with
these user agents."""

BOT_NAME = re.compile(r"(?i:(?<!cu)bots?|crawlers?|spiders?|scanners?|previews?)(?![a-z])")
"""Matches a user agent that calls itself a bot: `Zoombot/1.0`, `LinkPreview/1.0`, `Server Crawler`.

Does not match `botocore`, which programs use, or `Cubot`, which is a telephone.
"""

USER_AGENT_LENGTH = 1000
"""Maximum number of characters of a user agent that are searched."""


def classify(method: str, headers: Mapping[str, str]) -> ClientKind:
    """Return the kind of the client that sends a request.

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
    # Browsers, old ones included, announce a prefetch by one of four headers.
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
    # Older browsers send no Sec-Fetch headers.
    if "text/html" in headers.get("Accept", "").lower():
        return True
    # PowerShell's Invoke-WebRequest calls itself Mozilla, but is a program.
    agent = headers.get("User-Agent", "")
    return method == "GET" and agent.startswith("Mozilla/") and "PowerShell" not in agent


def _is_bot(method: str, headers: Mapping[str, str]) -> bool:
    agent = headers.get("User-Agent", "")[:USER_AGENT_LENGTH]
    tags = _tags_of(agent)
    if method == "GET":
        return bool(tags) or BOT_NAME.search(agent) is not None
    if not tags & READER_TAGS:
        return False
    # Some apps have a browser inside whose user agent names their preview bot. Only a person's
    # click sends this header.
    return headers.get("Sec-Fetch-User") != "?1"


@lru_cache(maxsize=1024)
def _tags_of(agent: str) -> frozenset[str]:
    """Return the tags of all known bots that a user agent matches."""
    if not agent:
        return frozenset()
    return frozenset().union(*(tags for pattern, tags in _bots() if pattern.search(agent)))


@cache
def _bots() -> list[tuple[re.Pattern[str], frozenset[str]]]:
    """Compile one pattern for all bots with the same tags."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    patterns: dict[frozenset[str], list[str]] = {}
    for bot in CRAWLER_USER_AGENTS_DATA:
        is_callback = bot["pattern"] in CALLBACK_PATTERNS
        tags = frozenset({"callback"} if is_callback else bot.get("tags", ()))
        if not tags & TOOL_TAGS:
            patterns.setdefault(tags, []).append(bot["pattern"])
    return [(re.compile("|".join(found)), tags) for tags, found in patterns.items()]


# --- limits of rates ---

MAX_ATTEMPTS = 60
"""Maximum number of unknown links that an address may try at once."""

RECOVERY_SECONDS = 60.0
"""Seconds until an address that has used all its attempts has all of them again. They come back
one by one."""

MAX_ADDRESSES = 10_000
"""Maximum number of addresses that are remembered; the oldest are forgotten first."""

SUBNET_BITS = 64
"""Low bits of an IPv6 address that its owner can choose."""


class RateLimiter:
    """Counts attempts with unknown links by address.

    This is the generic cell rate algorithm: each attempt takes ``RECOVERY_SECONDS / MAX_ATTEMPTS``,
    and all that is stored of an address is the time when its attempts are recovered.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds; only differences matter.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recovered_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of addresses that are remembered."""
        return len(self._recovered_at)

    def count(self, address: str | None) -> None:
        """Count an attempt with an unknown link.

        Parameters
        ----------
        address : str or None
            The address that the request came from.

        Raises
        ------
        TooManyAttemptsError
            The address has used all its attempts. This attempt was not counted.
        """
        now, network = self._clock(), _network(address or "")
        # pop and set again, so that the order is by the latest attempt
        before = max(self._recovered_at.pop(network, now), now)
        after = before + RECOVERY_SECONDS / MAX_ATTEMPTS
        wait = after - (now + RECOVERY_SECONDS)
        self._recovered_at[network] = before if wait > 0 else after
        if len(self._recovered_at) > MAX_ADDRESSES:
            self._recovered_at.popitem(last=False)
        if wait > 0:
            raise TooManyAttemptsError(math.ceil(wait))


def _network(address: str) -> str:
    """Return the key of an address; all IPv6 addresses of a subnet have the same key."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped or int(known) >> SUBNET_BITS)
