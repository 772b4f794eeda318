"""What ``./dev bench sizes`` says: bars held, a tree cut to a trace, one section of the page written anew."""

from __future__ import annotations

from concurrent.futures import Future

from bench.applications import Bar
from bench.run import refreshed
from bench.sizes import BEST, Made, held
from bench.traced import only

from oslet.model.tree import Entry, Tree

MIB = 1 << 20


def test_a_bar_names_what_misses_it() -> None:
    made = Made("x", "oslet, safe", 12 * MIB, 3, 2, True, Future(), BEST, Bar(13, 5, 1))
    assert held(made, 4.9) == ("≤ 13 / 5, 1 program", "**missed** (programs, shell)")
    assert held(made._replace(programs=1, shell=False), 5.1)[1] == "**missed** (packed)"
    assert held(made._replace(programs=1, shell=False), 5.0)[1] == "met"
    assert held(made._replace(bar=None), 4.9) == ("", "")


def test_a_traced_tree_has_what_was_used_and_the_folders_to_it() -> None:
    whole = Tree(
        (
            Entry("/app", "dir", 0o755, origin="files"),
            Entry("/app/a.py", "file", 0o644, origin="files"),
            Entry("/tmp", "dir", 0o1777),
            Entry("/usr", "dir", 0o755),
            Entry("/usr/lib", "dir", 0o755),
            Entry("/usr/lib/used", "dir", 0o755),
            Entry("/usr/lib/used/a.so", "file", 0o644),
            Entry("/usr/lib/used/b.so", "file", 0o644),
            Entry("/usr/share", "dir", 0o755),
        )
    )
    kept = [e.path for e in only(whole, frozenset({"/usr/lib/used/a.so"})).entries]
    assert kept == ["/app", "/app/a.py", "/tmp", "/usr", "/usr/lib", "/usr/lib/used", "/usr/lib/used/a.so"]


def test_a_section_replaces_its_own_and_no_other() -> None:
    page = "# Measured\n\ntable\n"
    once = refreshed(page, "## Sizes\n\nold\n")
    assert once == "# Measured\n\ntable\n\n## Sizes\n\nold\n"
    both = refreshed(once, "## Other\n\nkept\n")
    assert refreshed(both, "## Sizes\n\nnew\n") == "# Measured\n\ntable\n\n## Other\n\nkept\n\n## Sizes\n\nnew\n"
