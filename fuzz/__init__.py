"""Hostile inputs for every reader of foreign bytes: ``./dev fuzz`` (docs/fuzzing.md)."""
