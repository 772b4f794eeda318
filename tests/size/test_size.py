"""What a tree's bytes are spent on, and the page's data."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.cli.treemap import page
from oslet.model.lock import Lock
from oslet.model.tree import Entry, EntryKind, Tree
from oslet.trim.kinds import reason_kind, type_of
from oslet.trim.size import GROUPINGS, By, rows

from .world import HOSTILE, LINKED, LOCK, ODD, TREE, file


def table(by: By) -> dict[str, tuple[int, int, int]]:
    return {r.key: (r.files, r.size, r.left_out) for r in rows(TREE, by)}


def test_rows_by_package_begin_with_the_largest() -> None:
    assert list(table("package").items()) == [
        ("python3", (3, 7_640_000, 700_000)),
        ("libc6", (4, 3_200_000, 900_000)),
        ("libssl3", (1, 1_100_000, 0)),
        ("wheel:api", (1, 900_000, 0)),
        ("files", (1, 3000, 0)),
        ("made:usrmerge", (0, 0, 0)),
    ]


def test_rows_by_type_reason_and_folder() -> None:
    assert table("type")["library"] == (2, 3_000_000, 900_000)
    assert table("type")["manual"] == (0, 0, 700_000)
    reasons = table("reason")
    assert reasons["a library that is linked with (DT_NEEDED)"] == (2, 3_000_000, 0)
    assert reasons["a Python import"][0] == 3
    assert reasons["manuals"] == (0, 0, 700_000) and reasons["unreached"] == (0, 0, 900_000)
    assert table("folder")["/usr/lib/python3.13"] == (2, 1_140_000, 0)


def test_the_verb_offers_every_grouping() -> None:
    from oslet.cli.size import command

    (option,) = (p for p in command.params if p.name == "by")
    assert tuple(getattr(option.type, "choices", ())) == GROUPINGS


@pytest.mark.parametrize(
    "path, mode, word",
    [
        ("/usr/bin/env", 0o755, "program"),
        ("/usr/lib/postgresql/17/bin/postgres", 0o755, "program"),
        ("/usr/lib/x86_64-linux-gnu/libz.so.1.3", 0o644, "library"),
        ("/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", 0o644, "plugin"),
        ("/usr/lib/python3/dist-packages/numpy.libs/libblas-1.so", 0o755, "library"),
        ("/usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so", 0o644, "C extension"),
        ("/usr/lib/python3.13/__pycache__/ssl.cpython-313.pyc", 0o644, "byte code"),
        ("/usr/lib/python3.13/ssl.py", 0o755, "Python source"),
        ("/usr/share/zoneinfo/Europe/Rome", 0o644, "time zone"),
        ("/etc/ssl/certs/ca-certificates.crt", 0o644, "certificate"),
        ("/usr/share/locale/de/LC_MESSAGES/x.mo", 0o644, "translation"),
        ("/usr/share/doc/x/copyright", 0o644, "licence"),
        ("/usr/share/doc/x/README", 0o644, "documentation"),
        ("/etc/nginx/nginx.conf", 0o644, "configuration"),
        ("/usr/share/mime/magic", 0o644, "data"),
    ],
)
def test_types_are_words_that_people_use(path: str, mode: int, word: str) -> None:
    assert type_of(Entry(path, "file", mode)) == word


@pytest.mark.parametrize(
    "sentence, by, kind",
    [
        ("the declaration's command starts it", "", "started by the declaration"),
        ("the declaration keeps it (keep)", "", "kept by the declaration (keep)"),
        ("redis is named by the declaration (redis)", "", "named by the declaration"),
        ("may load libz.so.1: it holds the name (dlopen)", "/usr/bin/x", "a library that is loaded by name (dlopen)"),
        ("the kernel starts it by it (PT_INTERP)", "/usr/bin/x", "an interpreter"),
        ("its first line is #!/bin/sh", "/usr/bin/x", "an interpreter"),
        ("may import, by its name, ssl", "/usr/bin/x", "a Python import"),
        ("postgresql needs the data of tzdata", "", "data of a package in use"),
        ("is of libc6, whose data this is", "/usr/lib/libc.so", "data of a package in use"),
        ("is a link there", "/bin", "a link to what stays, or what one leads to"),
        ("finds its modules by name, at run time", "/usr/bin/perl", "found by its name at run time"),
        ("something quite new", "/usr/bin/x", "found in what stays"),
        ("something quite new", "", "a reason of its own"),
    ],
)
def test_kinds_of_reasons(sentence: str, by: str, kind: str) -> None:
    assert reason_kind(sentence, kept=True, found=bool(by)) == kind


def test_rules_and_features_are_their_own_kinds_of_reasons() -> None:
    assert reason_kind("init-systems: no init", kept=False, found=False) == "init-systems"
    assert reason_kind("feature python.dbm: nothing", kept=False, found=False) == "feature python.dbm"


def test_a_path_in_a_reason_does_not_change_its_kind() -> None:
    reason = "byte code of /usr/lib/interpreters/imports.py, so that a start need not compile it"
    assert reason_kind(reason, kept=True, found=False) == "byte code of what stays"


segments = st.sampled_from(["usr", "lib", "etc", "bin", "x.py", "x.so", "copyright", "</script>", "\n", "ü"])
entries = st.builds(
    lambda parts, kind, size, reason, by: Entry(
        "/" + "/".join(parts), kind, 0o755, size=size if kind == "file" else 0, origin=parts[0], reason=reason, by=by
    ),
    st.lists(segments, min_size=1, max_size=5),
    st.sampled_from(list[EntryKind](("file", "dir", "link"))),
    st.integers(0, 10**6),
    st.sampled_from(["x is needed by y (x)", "manuals: for people", "<b>", "DT_NEEDED libx.so", ""]),
    st.sampled_from(["", "/usr", "/usr/lib"]),
)


@given(st.lists(entries, max_size=30), st.lists(entries, max_size=30), st.sampled_from(GROUPINGS))
def test_every_grouping_adds_up_to_the_tree(kept: list[Entry], dropped: list[Entry], by: By) -> None:
    tree = Tree(tuple(kept), tuple(dropped))
    found = rows(tree, by)
    assert len({r.key for r in found}) == len(found)
    assert sum(r.size for r in found) == tree.size
    assert sum(r.files for r in found) == tree.files
    assert sum(r.links for r in found) == sum(e.kind == "link" for e in kept)
    assert sum(r.left_out for r in found) == sum(e.size for e in dropped)
    assert sum(r.left_out_files for r in found) == sum(e.kind == "file" for e in dropped)


def data(text: str) -> dict[str, list[object]]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    value: dict[str, list[object]] = json.loads(found)
    return value


def test_the_data_can_not_end_its_element() -> None:
    text = page("world", TREE, LOCK)
    assert HOSTILE not in text and ODD not in text
    assert "<img" not in text and len(re.findall("<script", text)) == len(re.findall("</script", text)) == 2
    assert len(data(text)["rest"]) == len(TREE.entries) + len(TREE.dropped)


def test_evidence_in_a_path_through_a_link_is_found() -> None:
    assert LINKED not in {e.path for e in TREE.entries}
    found = data(page("world", TREE, LOCK))
    paths = [e.path for e in sorted((*TREE.entries, *TREE.dropped), key=lambda e: e.path)]
    by = found["by"][paths.index("/usr/lib/x86_64-linux-gnu/libc.so.6")]
    assert by == paths.index("/usr/lib/x86_64-linux-gnu/libssl.so.3")


def test_ten_thousand_paths_stay_under_a_megabyte_and_a_half() -> None:
    folder = "/usr/lib/postgresql/17/lib/bitcode/postgres/utils"
    paths = [f"{folder}/part-{n % 97}/some-long-name-of-a-file-{n:05}.index.bc" for n in range(10_000)]
    kept = [file(p, n, "pg", f"{paths[n // 2]} needs {p} (line {n})", paths[n // 2]) for n, p in enumerate(paths)]
    assert len(page("postgres", Tree(tuple(kept[:7000]), tuple(kept[7000:])), Lock("", "", "amd64"))) < 1_500_000
