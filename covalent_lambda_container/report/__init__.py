"""How long a dispatch took, what it cost, and what to change."""
