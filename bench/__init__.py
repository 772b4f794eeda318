"""Measurements: oslet beside the tools that do the same work, interleaved in one run. ``./dev bench --list``."""
