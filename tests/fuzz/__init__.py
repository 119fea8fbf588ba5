"""Fuzzing: ``python -m tests.fuzz`` (see docs/contributing.rst)."""

TARGETS = (
    *("replies", "ehlo", "status", "scram", "oauth"),
    *("encoder", "envelope", "options", "client"),
)
"""Each is a module with a function ``check(data)``, and a folder of seeds in ``corpus``."""
