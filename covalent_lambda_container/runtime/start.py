"""The module that Lambda imports: orders the search path, then loads the handler."""

# No ``__future__`` and nothing else before this line: see the module.
from .child_processes import sitecustomize

sitecustomize.apply()

from .handler import handle  # noqa: E402

__all__ = ["handle"]
