"""Tests, room by room; everything real."""

from __future__ import annotations
