"""The catalog as Markdown: docs/catalog.md and ``oslet catalog NAME``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oslet.catalog.shelf import Entry, default_of, entries, type_of
from oslet.codec.texts import plain


def index() -> str:
    """A table of all, with what was measured."""
    rows = []
    for each in entries():
        name = f"[{each.name}](#{each.name})"
        size, healthy = (
            (f"{each.measured.size / 1e6:.0f} MB", f"{each.measured.healthy} ms") if each.measured else ("", "")
        )
        rows.append((name, f"`{each.spelled}`", each.summary, size, healthy))
    return table(("name", "class", "", "image", "healthy"), rows)


def page(entry: Entry) -> str:
    """All there is to say of one."""
    start, policy = entry.oslet.start, entry.oslet.policy
    facts = [
        ("from", ", ".join((*entry.oslet.wants.packages, *entry.oslet.wants.wheels))),
        ("user", start.user),
        ("ports", ", ".join(start.ports)),
        ("volumes", ", ".join(start.volumes)),
        ("url", start.url),
        ("features", ", ".join(f"{name} = {_value(value)}" for name, value in policy.features)),
    ]
    if entry.measured:
        facts.append(("image", f"{entry.measured.size / 1e6:.1f} MB in {entry.measured.files} files"))
        facts.append(("healthy", f"{entry.measured.healthy} ms after the call"))
    parts = [f"## {entry.name}\n", f"`oslet.catalog.{entry.spelled}`: {entry.summary[0].lower()}{entry.summary[1:]}.\n"]
    if entry.about:
        parts.append(f"{entry.about}\n")
    params = [(f"`{p.name}`", type_of(p), default_of(p), _help(p.at, p.help)) for p in entry.oslet.params]
    parts.append(table(("param", "type", "default", ""), params))
    parts.append("\n".join(f"- {word}: `{fact}`" for word, fact in facts if fact) + "\n")
    return "\n".join(parts)


def pages() -> str:
    """The pages of all, one after the other."""
    return "\n".join(page(each) for each in entries())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


def _help(at: str, text: str) -> str:
    return f"{text} (when the image is built)" if at == "build" else text


def _value(value: bool | str | tuple[str, ...]) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else plain(value)
