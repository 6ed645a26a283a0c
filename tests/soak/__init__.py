"""Minutes of tasks on the local stack while it breaks in random ways: ``python -m tests.soak``."""
