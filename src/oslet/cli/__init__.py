"""The command line: one file a verb; only this room prints or exits."""

QUICK = ("run", "exec", "debug", "park", "restart", "seed", "build", "test", "trace")
"""Verbs that read their own words: click would cost more than a start or a look-up does."""
