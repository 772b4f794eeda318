"""Evidence: what was used, held against what an image keeps."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.errors import BuildError
from oslet.model.tree import Entry, Tree
from oslet.model.watch import How, Trace, Use, Watched
from oslet.trim.missing import missing
from oslet.trim.used import check_trace, findings, joined, keep_line, trace, unused, whole

DOC = "documentation: it is read by people"
TREE = Tree(
    (
        Entry("/app", "dir", 0o755, origin="files"),
        Entry("/app/app.py", "file", 0o644, size=10, origin="files", reason="of the declaration"),
        Entry("/lib", "link", 0o777, target="usr/lib", origin="base"),
        Entry("/usr", "dir", 0o755, origin="base"),
        Entry("/usr/lib", "dir", 0o755, origin="base"),
        Entry("/usr/lib/big.so", "file", 0o644, size=900, origin="big", reason="big is needed by app"),
        Entry("/usr/share", "dir", 0o755, origin="base"),
        Entry("/usr/share/lintian", "dir", 0o755, origin="base"),
        Entry("/usr/share/lintian/x", "file", 0o644, size=20, origin="big", reason="kept by the declaration"),
    ),
    (
        Entry("/usr/share/doc", "dir", 0o755, origin="base", reason="hollow"),
        Entry("/usr/share/doc/a", "file", 0o644, origin="base", reason=DOC),
        Entry("/usr/share/doc/b", "file", 0o644, origin="base", reason=DOC),
        Entry("/usr/share/doc/current", "link", 0o777, target="a", origin="base", reason=DOC),
        Entry("/usr/share/man", "dir", 0o755, origin="base", reason="hollow"),
    ),
)


def watched(**how: str) -> Watched:
    """``usr_share_doc="listed"``: an underscore is a slash."""
    found: list[Use] = []
    for name, words in how.items():
        ways = cast(tuple[How, ...], tuple(words.split()))
        found.append(Use("/" + name.replace("_", "/"), ways, "app", 7, 1.5, 2))
    return Watched("d" * 64, tuple(found), True)


def found(**how: str) -> dict[str, str]:
    return {f.path: f.keep for f in findings(watched(**how), TREE)}


def test_a_dropped_path_that_is_asked_for_is_found_with_all_that_is_known() -> None:
    (one,) = findings(watched(usr_share_doc_a="opened", usr_lib="listed"), TREE)
    assert (one.path, one.reason, one.origin, one.how) == ("/usr/share/doc/a", DOC, "base", ("opened",))
    assert (one.process, one.pid, one.first, one.count, one.keep) == ("app", 7, 1.5, 2, "/usr/share/doc/a")


def test_a_link_and_what_it_leads_to_are_both_needed() -> None:
    assert found(usr_share_doc_current="linked", usr_share_doc_a="opened") == {
        "/usr/share/doc/a": "/usr/share/doc/a",
        "/usr/share/doc/current": "/usr/share/doc/current",
    }


def test_a_folder_that_is_looked_at_is_no_finding_but_its_listing_is() -> None:
    assert found(usr_share_doc="looked", usr_share_man="looked") == {}
    assert found(usr_share_doc="listed") == {"/usr/share/doc": "/usr/share/doc/**"}
    assert found(usr_share_man="filled") == {"/usr/share/man": "/usr/share/man"}


def test_who_walks_over_everything_asks_for_nothing() -> None:
    everything = {"usr_share_doc_a": "looked", "usr_share_doc_b": "looked", "usr_share_doc_current": "linked looked"}
    walk = {"usr_share": "listed", "usr_share_doc": "listed", "usr_share_man": "listed", "usr_share_lintian": "listed"}
    assert found(**walk, **everything) == {}
    assert found(**walk | {"usr_share_doc": "entered"}) == {"/usr/share/doc": "/usr/share/doc"}
    assert found(**walk, **everything | {"usr_share_doc_a": "looked opened"}) == {
        "/usr/share/doc/a": "/usr/share/doc/a"
    }


def test_who_picks_one_of_a_listing_asks_for_it() -> None:
    """As Python's importer does, which lists a folder and then looks at the module's file alone."""
    assert found(usr_share="listed", usr_share_doc="listed", usr_share_doc_a="looked").keys() == {
        "/usr/share/doc", "/usr/share/doc/a",
    }  # fmt: skip


def test_the_whole_tree_has_everything_once_and_folders_for_it() -> None:
    again = Entry("/usr/share/doc/a", "file", 0o644, origin="made:step", reason="made again")
    tree = Tree(
        tuple(sorted((*TREE.entries, Entry("/usr/share/doc", "dir", 0o755), again), key=lambda e: e.path)),
        (*TREE.dropped, Entry("/opt/x/y", "file", 0o644), Entry("/app/app.py/below", "file", 0o644)),
    )
    paths = {e.path: e for e in whole(tree).entries}
    assert list(paths) == sorted(paths) and paths["/usr/share/doc/a"] == again
    assert paths["/opt"].kind == paths["/opt/x"].kind == "dir" and "/opt/x/y" in paths
    assert "/app/app.py/below" not in paths, "nothing stands below a file"
    assert whole(whole(tree)) == whole(tree)


def test_a_trace_that_contradicts_the_tree_is_an_error_that_names_both() -> None:
    seen = trace(
        watched(app_app="looked", usr_share_doc_a="opened", usr_share_doc="looked", gone="opened"), TREE, "e" * 64
    )
    assert seen == Trace("e" * 64, ("/usr/share/doc/a",))
    with pytest.raises(BuildError) as refused:
        check_trace(TREE, seen, where="web.trace")
    said = str(refused.value)
    assert "web.trace" in said and "/usr/share/doc/a" in said and DOC in said and 'keep = ["/usr/share/doc/a"]' in said
    check_trace(TREE, Trace("e" * 64, ("/usr/lib/big.so", "/no/more")))
    check_trace(whole(TREE), seen)


def test_what_is_kept_and_not_used_is_told_with_its_reason_the_largest_first() -> None:
    idle = unused(TREE, Trace("e" * 64, ("/app/app.py",)))
    assert (idle[0].size, idle[0].reason) == (900, "big is needed by app")
    assert [(u.path, u.rule) for u in idle] == [("/usr/lib/big.so", ""), ("/usr/share/lintian/x", "packaging-checks")]


def test_traces_join() -> None:
    assert joined(Trace("e", ("/b",)), Trace("e", ("/a", "/b"))) == Trace("e", ("/a", "/b"))


def test_a_keep_line_is_toml() -> None:
    import tomllib

    assert tomllib.loads(keep_line(('/a"b', "/c\\d"))) == {"keep": ['/a"b', "/c\\d"]}


LOST = Tree(
    (
        Entry("/usr", "dir", 0o755),
        Entry("/lib", "link", 0o777, target="usr/lib"),
        Entry("/usr/bin/kept", "file", 0o755),
    ),
    tuple(
        Entry(path, "link" if target else "file", 0o755, target=target, reason="unreached: nothing asks for it")
        for path, target in {
            "/usr/bin/tool": "",
            "/usr/lib/libx.so.1": "libx.so.1.2",
            "/usr/lib/libx.so.1.2": "",
            "/usr/lib/python3.13/curses/__init__.py": "",
            "/usr/lib/python3.13/lib-dynload/_bz2.cpython-313-x86_64-linux-gnu.so": "",
            "/usr/lib/python3/dist-packages/six.py": "",
            "/usr/share/zone/UTC": "",
            "/usr/share/doc/tool": "",
        }.items()
    ),
)


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        (
            "app: error while loading shared libraries: libx.so.1: cannot open shared object file: No such file",
            ["/usr/lib/libx.so.1", "/usr/lib/libx.so.1.2"],
        ),
        ("ImportError: libx.so.1.2: cannot open shared object file: No such file", ["/usr/lib/libx.so.1.2"]),
        ("ModuleNotFoundError: No module named 'six'", ["/usr/lib/python3/dist-packages/six.py"]),
        ("ModuleNotFoundError: No module named 'curses'", ["/usr/lib/python3.13/curses/__init__.py"]),
        (
            "ModuleNotFoundError: No module named '_bz2'",
            ["/usr/lib/python3.13/lib-dynload/_bz2.cpython-313-x86_64-linux-gnu.so"],
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/lib/../share/zone/UTC'", ["/usr/share/zone/UTC"]),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'tool'", ["/usr/bin/tool"]),
        ("cat: can't open '/usr/share/zone/UTC': No such file or directory", ["/usr/share/zone/UTC"]),
        ("cat: /usr/share/zone/UTC: No such file or directory", ["/usr/share/zone/UTC"]),
        ('[emerg] open() "/usr/share/zone/UTC" failed (2: No such file or directory)', ["/usr/share/zone/UTC"]),
        ("/app/run: 3: exec: tool: not found", ["/usr/bin/tool"]),
        ("sh: 1: tool: not found", ["/usr/bin/tool"]),
        ("env: 'tool': No such file or directory", ["/usr/bin/tool"]),
        ("executable file `tool` not found in $PATH: No such file or directory", ["/usr/bin/tool"]),
        ("executable file `/usr/bin/tool` not found", ["/usr/bin/tool"]),
        ("ModuleNotFoundError: No module named 'numpy'", []),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/srv/none'", []),
        ("it went well: kept: not found", []),
    ],
)
def test_last_words_lead_to_what_was_dropped(words: str, paths: list[str]) -> None:
    advice = missing(f"Traceback (most recent call last):\n{words}\n", LOST)
    assert [m.path for m in advice] == paths
    assert all(f'keep = ["{m.path}"]' in str(m) and "nothing asks for it" in str(m) for m in advice)


@given(st.text(max_size=300))
def test_no_words_surprise_it(words: str) -> None:
    assert len(missing(words, LOST)) <= len(LOST.dropped)
