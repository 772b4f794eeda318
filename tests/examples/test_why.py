"""Every path of every example answers why: kept, by a chain that ends at the declaration; left out, by a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from oslet.model.tree import Entry
from oslet.trim.kinds import reason_kind
from oslet.trim.why import Asking
from oslet.workspace import Workspace

from ..conftest import Oslet

FALLBACKS = {"left out for a reason of its own", "found in what stays", "a reason of its own"}
"""What ``oslet size --by reason`` says of sentences that it doesn't know."""

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.mark.parametrize("name", ["hello", "redis", "nginx", "flask", "web", "postgres"])
def test_every_path_is_explained(name: str, home: Path, oslet: Oslet) -> None:
    oslet("build", str(oslet.example(name)))
    workspace = Workspace(home)
    image = workspace.image(name).image
    tree, lock = workspace.tree(image), workspace.lock_of(image)
    asking = Asking(tree, lock)
    entries = {e.path: e for e in tree.entries}
    for entry in tree.entries:
        answer = asking.why(entry.path)
        assert answer.kept and len(answer.lines) >= 2, entry
        assert ends(entry, entries), answer
    for entry in tree.dropped:
        answer = asking.why(entry.path)
        assert not answer.kept and entry.reason in answer.lines, entry
    kinds = {reason_kind(e.reason, kept=True, found=bool(e.by)): e for e in tree.entries if e.kind != "dir"}
    kinds |= {reason_kind(e.reason, kept=False, found=False): e for e in tree.dropped if e.kind != "dir"}
    assert not kinds.keys() & FALLBACKS, [kinds.get(kind) for kind in FALLBACKS]


def ends(entry: Entry, entries: dict[str, Entry]) -> bool:
    """Whether the chain of ``entry`` ends, at a sentence that needs no other path."""
    for _ in range(60):
        if not entry.by:
            return bool(entry.reason)
        entry = entries[entry.by]
    return False
