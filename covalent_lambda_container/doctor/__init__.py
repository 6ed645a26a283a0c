"""Checks that find what would keep electrons from running."""
