"""Alternatives: the links that update-alternatives(1) would make, highest priority first."""

from __future__ import annotations

from typing import NamedTuple

from oslet.build.files import Files

ORIGIN = "made:alternatives"


class Slave(NamedTuple):
    """A link that follows its master's choice."""

    link: str
    name: str
    path: str


class Choice(NamedTuple):
    """One candidate for a name: where it stands, how much it is preferred, and who said so."""

    link: str
    name: str
    path: str
    priority: int
    slaves: tuple[Slave, ...]
    reason: str


class Alternatives:
    """All candidates, by name."""

    def __init__(self) -> None:
        self.choices: dict[str, dict[str, Choice]] = {}

    def add(self, choice: Choice) -> None:
        self.choices.setdefault(choice.name, {})[choice.path] = choice

    def best(self, name: str) -> Choice | None:
        """The candidate with the highest priority; among equals the first path."""
        return min(self.choices.get(name, {}).values(), key=lambda c: (-c.priority, c.path), default=None)

    def apply(self, files: Files) -> None:
        """Make the links of the best candidate that is in the image, and of its slaves that are."""
        for name in sorted(self.choices):
            present = {p: c for p, c in self.choices[name].items() if files.at(p) is not None}
            if not present:
                continue
            best = min(present.values(), key=lambda c: (-c.priority, c.path))
            others = len(self.choices[name]) - 1
            why = f"{best.reason}; priority {best.priority}" + (f", before {others} more" if others else "")
            for link, key, path in ((best.link, name, best.path), *best.slaves):
                if files.at(path) is None:
                    continue
                if (old := files.get(link)) is not None and old.kind != "link":
                    continue
                files.link(link, f"/etc/alternatives/{key}", origin=ORIGIN, reason=why)
                files.link(f"/etc/alternatives/{key}", path, origin=ORIGIN, reason=why)
