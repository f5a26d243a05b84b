"""Emails to approvers on a phone, in light and dark mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from jupyter_pdflow.mail.asks import PERSONAL_LINK, with_text
from jupyter_pdflow.rules.pauses import AskEmail
from jupyter_pdflow.stores import Email
from tests.browser.axe import grave_findings

SINCE = datetime(2026, 11, 24, 9, tzinfo=UTC)
LINKS = tuple(
    f"https://hub.example.org/pdflow/{verb}/{'x9-_' * 50}" for verb in ("resume", "cancel")
)
WIDTH = 390
MESSAGE = """\
# Pay invoice 4711?

**ACME Ltd.** asks for **1,200.00 €** for *consulting*. See the
[invoice](https://files.example.org/4711.pdf) and ![the chart](https://files.example.org/4711.png).

| item | hours | rate per hour | amount | booked by | remarks of accounting |
|------|------:|--------------:|-------:|-----------|-----------------------|
| consulting | 10 | 120.00 € | 1,200.00 € | bob@example.org | as agreed in November |

1. Check the amount.
2. Check the account `DE02120300000000202051`.

> Please be quick: they wait since October.

```python
total = sum(item.hours * item.rate for item in items)  # a long line that does not fit on phones
```

Averyveryverylongwordthatdoesnotfitonthescreenofaphonebecauseithasfartoomanycharacters
"""


@pytest.fixture(params=["light", "dark"])
def phone(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Make a page as large as a phone's screen."""
    with browser.new_context(
        viewport={"width": WIDTH, "height": 844}, is_mobile=True, color_scheme=request.param
    ) as context:
        yield context.new_page()


def written(links: Any = LINKS, **changes: Any) -> Email:
    email = Email(
        id="r-1-0-0",
        run_id="r",
        step="approve",
        to=["ada@example.org"],
        subject="Please decide: Pay invoice 4711?",
        text="",
        html=None,
        created_at=SINCE,
    )
    values: dict[str, Any] = {"kind": "ask", "message": MESSAGE, "on_timeout": "cancel"} | changes
    ask = AskEmail(
        person="ada@example.org",
        execution=1,
        workflow_name="expenses",
        title="Pay invoice 4711?",
        since=SINCE,
        deadline=SINCE + timedelta(days=7),
        has_form=True,
        required=2,
        **values,
    )
    return with_text(email, ask, *links)


def show(page: Page, email: Email, *, styled: bool = True) -> None:
    """Show an email as it is, or as a mail client does that drops style elements."""
    html = email.html or ""
    if not styled:
        html, dropped = re.subn(r"<style>.*?</style>", "", html, flags=re.DOTALL)
        assert dropped == 1
    page.set_content(html)


def width(page: Page) -> Any:
    """Measure how far the page could be scrolled to the right."""
    return page.evaluate("document.scrollingElement.scrollWidth")


def brightness(page: Page) -> Any:
    color = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


@pytest.mark.parametrize("styled", [True, False])
def test_an_email_fits_on_a_phone(phone: Page, styled: bool) -> None:
    show(phone, written(), styled=styled)
    assert width(phone) == phone.evaluate("innerWidth") == WIDTH
    for name in ("Approve", "Reject"):
        box = phone.get_by_role("link", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["width"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= WIDTH
    sizes = "each => parseFloat(getComputedStyle(each).fontSize)"
    assert [each.evaluate(sizes) for each in phone.locator("body p:not(.soft)").all()] == [16] * 6


@pytest.mark.parametrize("styled", [True, False])
@pytest.mark.parametrize("links", [LINKS, (PERSONAL_LINK, PERSONAL_LINK)])
def test_an_email_can_be_read(phone: Page, styled: bool, links: Any) -> None:
    show(phone, written(links), styled=styled)
    assert grave_findings(phone) == []


def test_an_email_follows_dark_mode(phone: Page) -> None:
    show(phone, written())
    is_dark = phone.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert brightness(phone) < 40 if is_dark else brightness(phone) > 240


def test_the_buttons_are_side_by_side_and_apart(phone: Page) -> None:
    show(phone, written())
    approve, reject = (
        phone.get_by_role("link", name=name, exact=True).bounding_box()
        for name in ("Approve", "Reject")
    )
    assert approve is not None
    assert reject is not None
    assert approve["y"] == reject["y"]
    assert reject["x"] - approve["x"] - approve["width"] >= 12


def test_an_email_loads_nothing(phone: Page) -> None:
    requests: list[str] = []
    phone.on("request", lambda request: requests.append(request.url))
    show(phone, written())
    phone.wait_for_load_state("networkidle")
    assert requests == []
