"""Maintainer scripts, read on a fresh install: what each would make, and what isn't understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.build.accounts import Users
from oslet.build.alternatives import Alternatives
from oslet.build.files import Files
from oslet.build.scripts.arithmetic import evaluate
from oslet.build.scripts.install import Install
from oslet.build.scripts.packaging import compare
from oslet.build.scripts.reading import configure_order, read_script
from oslet.build.scripts.streams import joined
from oslet.build.scripts.words import matches
from oslet.errors import BuildError
from oslet.model.tree import Contents, Entry
from oslet.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def world(store: Store, *, templates: str = "", **texts: str) -> Install:
    """A tree with these files (``etc__a_conf`` is /etc/a.conf), brought by the package ``app``."""
    entries = [
        Entry(
            f"/{name.replace('__', '/')}", "file", 0o644, size=len(text), digest=store.put(text.encode()), origin="app"
        )
        for name, text in texts.items()
    ]
    control = {"control": "Package: app\nVersion: 1.0\n", "templates": templates}
    contents = Contents("app", "0" * 64, tuple(entries), control)
    files = Files(store, entries)
    return Install(files, Users(), Alternatives(), [contents], arch="amd64", versions={"app": "1.0"})


def read(install: Install, text: str, script: str = "postinst") -> Files:
    read_script(install, "app", script, f"#!/bin/sh\nset -e\n{text}\n")
    return install.files


def printed(store: Store, text: str) -> str:
    """What a script writes, by way of a file of the tree."""
    return read(world(store), f"{{\n{text}\n}} > /out").text("/out")


def test_a_service_with_an_account_a_folder_and_a_log(store: Store) -> None:
    install = world(store, etc__app="x")
    files = read(
        install,
        """
case "$1" in
  configure)
    adduser --system --group --home /var/lib/app --quiet app || true
    mkdir -p /var/log/app
    if ! dpkg-statoverride --list /var/log/app >/dev/null 2>&1; then
      chown app:adm /var/log/app; chmod 2750 /var/log/app
    fi
    if [ -z "$2" ] && [ -e /etc/app ]; then ln -s /etc/app /etc/app.link; fi
    ;;
  abort-upgrade|abort-remove) ;;
  *) echo "unknown" >&2; exit 1 ;;
esac
if [ -d /run/systemd/system ]; then systemctl daemon-reload; touch /never; fi
deb-systemd-invoke start app.service >/dev/null || true
""",
    )
    log = files.get("/var/log/app")
    assert log is not None and (log.mode, log.uid, log.gid) == (0o2750, install.users.uid("app"), 4)
    assert log.origin == "made:scripts" and "app.postinst, line 7" in log.reason and "chown app:adm" in log.reason
    assert files.get("/etc/app.link") is not None and files.get("/never") is None
    account = install.users.user("app")
    assert account is not None and account.home == "/var/lib/app" and account.shell == "/usr/sbin/nologin"


@pytest.mark.parametrize(
    ("script", "why", "line"),
    [
        ("frobnicate --all", "frobnicate isn't a command that oslet knows", 3),
        ("true\n\nfrobnicate || true", "frobnicate isn't a command that oslet knows", 5),
        ("false", "it would fail with status 1", 3),
        ("exit 3", "it would fail with status 3", 3),
        ("chown nosuch /etc/app", "no package makes the user nosuch", 3),
        ("chown --magic root /etc/app", "--magic isn't understood", 3),
        ("while true; do :; done", "it takes more than", 3),
        ("a=xxxxxxxx\nwhile true; do a=$a$a; done", "grows beyond", 4),
        ("f() { f; }\nf", "it is nested too deeply", 3),
        (". /usr/share/absent", "it reads /usr/share/absent", 3),
        ("a=(1 2)", "isn't understood", 3),
        ("if [ x = ", "the shell grammar doesn't cover this", 2),
    ],
)
def test_what_is_not_understood_is_named(store: Store, script: str, why: str, line: int) -> None:
    with pytest.raises(BuildError) as caught:
        read(world(store, etc__app="x"), script)
    assert why in str(caught.value) and caught.value.where.startswith(f"app.postinst:{line}")
    assert "[scripts] app" in caught.value.hint and len(str(caught.value).splitlines()) <= 12


def test_an_upgrade_path_is_never_reached(store: Store) -> None:
    files = read(
        world(store),
        'if [ -n "$2" ]; then frobnicate; fi\nif dpkg --compare-versions "$2" lt-nl 2.0; then frobnicate; fi\n'
        'test "$1" = configure || frobnicate\n[ -x /usr/bin/absent ] && absent --now || :',
    )
    assert files.tree().entries == ()


def test_a_preinst_does_not_see_its_own_packages_files(store: Store) -> None:
    files = read(world(store, etc__app="x"), "if [ -e /etc/app ]; then frobnicate; else touch /fresh; fi", "preinst")
    assert files.get("/fresh") is not None


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ('a="x  y"; set -- $a; echo $# "$a"', "2 x  y\n"),
        ('f() { local v=1; echo "$v$1"; return 4; }; v=0; f b || echo $? $v', "1b\n4 0\n"),
        ('p=/usr/lib/a.so.1; echo ${p##*/} ${p%.so*} ${p#/usr} ${#p} ${q:-none} ${q:+some}',
         "a.so.1 /usr/lib/a /lib/a.so.1 15 none\n"),
        ('printf "%s-%03d\\n" a 7 b 8', "a-007\nb-008\n"),
        ('printf "a\\nb\\n" | while read l; do echo "<$l>"; done', "<a>\n<b>\n"),
        ("echo a,b,c | tr , '\\n' | sort -r | head -n 1", "c\n"),
        ("echo 'k = v # c' | sed -e 's/ *#.*//' -e 's/\\(.*\\) = \\(.*\\)/\\2=\\1/'", "v=k\n"),
        ("true | sed -ne ':a s/x/y/; t end; d; :end q'; echo none", "none\n"),
        ("mkdir -p /d/e; touch /d/a /d/b~ /d/c.bak; find /d -mindepth 1 ! \\( -name '*~' -o -name '*.bak' \\) -type f",
         "/d/a\n"),
        ("mkdir -p /d/e; touch /d/a /d/e/b; find /d -maxdepth 1 -regex '.*/[a-c]' -printf '%f\\n'", "a\n"),
        ('if [ "$1" = x -o \\( "$1" = configure -a -n "$1" \\) ]; then echo in; fi', "in\n"),
        ("mountpoint -q /proc && ! mountpoint -q /srv && echo yes", "yes\n"),
        ('cat <<EOF\na $1 `echo b` \\$c\nEOF\ncat <<"EOF"\n$1\nEOF', "a configure b $c\n$1\n"),
        ("echo $((1 + 2 * 3)) $(( (1+2) % 2 ))", "7 1\n"),
        ('for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done', "1\n3\n"),
        ('case "a.b" in a.*) echo yes;; *) echo no;; esac', "yes\n"),
        ('if ! grep -q x <<-EOF\n\ty\n\tEOF\nthen echo none; fi', "none\n"),
        ('echo " a $(echo b) c" | cut -d " " -f 3', "b\n"),
        ('r=/$1/${1}; echo $r \\\n  and', "/configure/configure and\n"),
        ('set -- -ab x -c y; while getopts ab:c o; do echo "$o$OPTARG"; done; shift $((OPTIND - 1)); echo $1',
         "a\nbx\nc\ny\n"),
        ("(cd /; exit 3) || echo $?", "3\n"),
        ('IFS=:; for d in a:b; do echo "$d"; done; x="a:b"; for d in $x; do echo $d; done', "a:b\na\nb\n"),
        ('getent passwd www-data | cut -d: -f3,6', "33:/var/www\n"),
        ('db_get app/q || echo $? "$RET"', "10 \n"),
    ],
)  # fmt: skip
def test_the_shells_language(store: Store, script: str, out: str) -> None:
    assert printed(store, script) == out


def test_debconf_answers_with_the_templates_default(store: Store) -> None:
    install = world(store, templates="Template: app/mode\nType: select\nDefault: fast\nDescription: x\n")
    assert (
        read(install, '. /usr/share/debconf/confmodule\ndb_get app/mode\necho "$RET" > /out').text("/out") == "fast\n"
    )


def test_a_script_of_the_image_is_read_in_turn(store: Store) -> None:
    install = world(store)
    install.files.put("/usr/sbin/setup", b"#!/bin/sh\nmkdir -p /srv/$1\n", mode=0o755, origin="app", reason="")
    assert read(install, "setup data").get("/srv/data") is not None


def test_temporary_names_and_ucf(store: Store) -> None:
    install = world(store, usr__share__app="a = 1\n")
    files = read(install, "t=$(mktemp)\nsed s/1/2/ /usr/share/app > $t\nchmod 644 $t\nucf $t /etc/app.conf\nrm -f $t")
    assert files.text("/etc/app.conf") == "a = 2\n" and files.names("/tmp") == []


def test_dependencies_are_configured_first() -> None:
    def package(name: str, depends: str, provides: str = "") -> Contents:
        return Contents(name, "", (), {"control": f"Package: {name}\nDepends: {depends}\nProvides: {provides}\n"})

    world = [
        package("a", "mail-agent"),
        package("b", "c (>= 1) | x, a"),
        package("c", ""),
        package("z", "", "mail-agent"),
    ]
    assert [c.origin for c in configure_order(world)] == ["z", "a", "c", "b"]
    assert configure_order(world[::-1]) == configure_order(world)


@given(st.text("ab \\\n\"'$<E", max_size=60))
def test_joining_lines_keeps_every_offset(text: str) -> None:
    assert len(joined(text)) == len(text)


@given(st.text("abc*?", max_size=8), st.text("abc", max_size=8))
def test_patterns_match_what_the_shell_matches(pattern: str, text: str) -> None:
    assert matches(text, "*") and matches(text, text)
    assert not matches(text, pattern) or len(pattern.replace("*", "")) <= len(text)


@pytest.mark.parametrize(
    ("left", "relation", "right"),
    [("", "lt", "1"), ("", "le", ""), ("", "gt-nl", "1"), ("1", "lt-nl", ""), ("1~rc1", "lt", "1"), ("1:1", "gt", "9"),
     ("1.10", "gt", "1.9"), ("1.0-1", "lt", "1.0-1+b1"), ("2a", "lt", "2.1"), ("1", "eq", "1-0")],
)  # fmt: skip
def test_versions_compare_as_dpkgs(left: str, relation: str, right: str) -> None:
    assert compare(left, relation, right)


@given(st.integers(-99, 99), st.integers(1, 99), st.sampled_from("+-*/%"))
def test_arithmetic_is_cs(a: int, b: int, operator: str) -> None:
    expected = {"+": a + b, "-": a - b, "*": a * b, "/": int(a / b), "%": a - b * int(a / b)}[operator]
    assert evaluate(f"({a}) {operator} {b}", lambda name: "0") == expected


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("true\n{\U000f0000", 4),
        ("f() { true\n}\necho \U0001f600", 5),
        ("echo a{1..2\u4e2d}", 3),
        ("true\n# {..\U0010ffff", 4),
        ("x='{'\neval \"$x\U0001f600\"", 4),
    ],
)
def test_a_character_that_the_grammar_dies_of_is_refused(store: Store, script: str, line: int) -> None:
    with pytest.raises(BuildError, match="a brace before such a character") as caught:
        read(world(store), script)
    assert caught.value.where == f"app.postinst:{line}"


@given(st.text(max_size=80))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    class Shelf:
        def put(self, data: bytes, mode: int = 0o644) -> str:
            return "0" * 64

        def read(self, digest: str, limit: int = 0) -> bytes:
            return b""

    files = Files(Shelf(), [])  # type: ignore[arg-type]
    install = Install(files, Users(), Alternatives(), [], arch="amd64", versions={})
    try:
        read_script(install, "app", "postinst", f"#!/bin/sh\n{text}")
    except BuildError as error:
        assert error.where


def test_a_local_name_begins_as_it_was_outside_in_dash_and_unset_in_bash(store: Store) -> None:
    text = "x=1; f() { local x=2; local x; local y; echo $x${y:-none}; x=3; }; y=4; f; echo $x$y"
    assert printed(store, text) == "24\n14\n"
    install = world(store, usr__bin__b=f"#!/bin/bash\n{text}\n")
    install.own("/usr/bin/b", "", mode=0o755)
    assert read(install, "b > /out").text("/out") == "2none\n14\n"


def test_another_script_sees_exported_variables_only(store: Store) -> None:
    install = world(
        store, usr__bin__inner="#!/bin/sh\nwhile getopts a:b o; do echo $o; done\necho ${x-no} ${y-no} ${z-no}\n"
    )
    install.own("/usr/bin/inner", "", mode=0o755)
    files = read(install, "x=1; y=2; export y; while getopts c o -c -c; do :; done; { z=3 inner -a1 -b; inner; } >/out")
    assert files.text("/out") == "a\nb\nno 2 3\nno 2 no\n"


@pytest.mark.parametrize(
    "script", ["set -u\necho $nosuch", "set -eu -o pipefail\necho ${nosuch%x}", "set -o nounset; f $2"]
)
def test_set_u_ends_a_script_that_was_misread(store: Store, script: str) -> None:
    with pytest.raises(BuildError, match="isn't set"):
        read(world(store), script.replace("$2", "$7"))


def test_options_of_set_leave_the_arguments_alone(store: Store) -> None:
    assert printed(store, "set -euo pipefail; set -f; echo $1 /*; set +f; set -- a b; echo $#") == "configure /*\n2\n"
    with pytest.raises(BuildError, match="status 1"):
        read(world(store), "set -o pipefail\nfalse | true")


def test_declared_words_are_assigned(store: Store) -> None:
    assert (
        printed(store, 'n=a; export "$n=1 2"; f() { local "b=3"; echo $a $b; }; f; echo ${b-none}') == "1 2 3\nnone\n"
    )
