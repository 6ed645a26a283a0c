"""Checks for problems that would keep electrons from running."""
