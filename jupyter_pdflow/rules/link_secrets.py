"""What the links of a pause look like in a text."""

from __future__ import annotations

import re

_LINK = re.compile(r"(pdflow/+(?:resume|cancel)/+)[^\s\"'<>?#&]+", re.IGNORECASE)


def without_secrets(text: str, mark: str) -> str:
    """Put a mark in the place of the secret of each link in a text."""
    return _LINK.sub(lambda link: f"{link[1]}{mark}", text)
