"""What each package depends on, among those of the lock: from the packages' own control fields (Debian Policy 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from oslet.formats import deb822
from oslet.model.tree import Contents

_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")
_FIELDS = ("pre-depends", "depends", "recommends")


def relations(contents: Iterable[Contents]) -> dict[str, tuple[str, ...]]:
    """Package → the packages here that it depends on or recommends; every alternative and every provider counts."""
    fields = {c.origin: _fields(c.control.get("control", "")) for c in contents if not c.origin.startswith("wheel:")}
    meant: dict[str, list[str]] = {name: [name] for name in fields}
    for name, each in fields.items():
        for virtual in _names(each.get("provides", "")):
            meant.setdefault(virtual, []).append(name)
    return {
        name: tuple(
            dict.fromkeys(
                other
                for field in _FIELDS
                for wanted in _names(each.get(field, ""))
                for other in meant.get(wanted, ())
                if other != name
            )
        )
        for name, each in fields.items()
    }


def _fields(control: str) -> Mapping[str, str]:
    return next(iter(deb822.paragraphs(control)), {})


def _names(relation: str) -> list[str]:
    return [m[1] for part in re.split(r"[,|]", relation) if (m := _NAME.match(part))]
