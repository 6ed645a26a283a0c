"""Hashes shared by tests of requirements."""

from __future__ import annotations

ONE = "sha256:" + "0a" * 32
