"""The nearest name, for errors that suggest what was meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of ``names`` most like ``name``, or empty when none is alike."""
    from difflib import get_close_matches

    by_folded = {each.casefold().replace("-", "_"): each for each in list(names)[:10_000]}
    folded = name[:200].casefold().replace("-", "_")
    for each in by_folded:
        if len(folded) > 1 and sorted(each) == sorted(folded):  # letters exchanged: difflib misses it in short names
            return by_folded[each]
    found = get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else ""


def suggestion(name: str, names: Iterable[str], *, kind: str = "") -> str:
    """``did you mean X?``, else the names there are (at most twelve); empty when there are none."""
    known = list(names)
    if found := nearest(name, known):
        return f"did you mean {found!r}?"
    if not known:
        return f"there are no {kind}" if kind else ""
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"{kind or 'known'}: {shown}"
