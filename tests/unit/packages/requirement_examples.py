"""Hashes that tests of requirements share."""

from __future__ import annotations

ONE = "sha256:" + "0a" * 32
