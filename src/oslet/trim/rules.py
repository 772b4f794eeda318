"""Rules as data: which paths are left out at a level, and why."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

_TOKEN = re.compile(r"\*\*|\*|[^*]+")


class Rule(NamedTuple):
    """One rule: a compiled pattern of whole paths, its exceptions, and one sentence why."""

    name: str
    paths: re.Pattern[str]
    but: re.Pattern[str] | None
    named: bool
    image: bool
    reason: str


def globs(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern that whole paths match: ``*`` stays within a segment, ``**`` crosses segments.

    ``/a/**`` matches what is below ``/a``, not ``/a`` itself.
    """
    spelled = {"**": ".+", "*": "[^/]*"}
    return re.compile(
        "|".join("".join(spelled.get(t) or re.escape(t) for t in _TOKEN.findall(p)) for p in patterns), re.DOTALL
    )


@cache
def rules(level: str = "packages") -> tuple[Rule, ...]:
    """The rules of one level, in file order; the first that matches a path decides."""
    text = (Path(__file__).parent / f"rules/{level}.toml").read_text("utf-8")
    return tuple(
        Rule(
            name=row["name"],
            paths=globs(tuple(row["paths"])),
            but=globs(tuple(row["but"])) if "but" in row else None,
            named=row.get("named", True),
            image=row.get("image", False),
            reason=row["reason"],
        )
        for row in tomllib.loads(text)["rule"]
    )
