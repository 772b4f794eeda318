"""Reach: what stays, by which evidence, and what goes; each test a world of a few packages."""

from __future__ import annotations

import pytest

from oslet.trim.evidence import Evidence

from .world import LIB, World, elf, files, said


def test_a_library_stays_when_something_links_it() -> None:
    world = World(
        web={"/usr/bin/web": elf("liba.so.1")},
        liba={f"{LIB}/liba.so.1 -> liba.so.1.2": Evidence(), f"{LIB}/liba.so.1.2": elf("libb.so")},
        libb={f"{LIB}/libb.so": elf(), f"{LIB}/libc.so": elf()},
    )
    tree = world.cut("web", command=["web"])
    assert files(tree) == {"/usr/bin/web", f"{LIB}/liba.so.1", f"{LIB}/liba.so.1.2", f"{LIB}/libb.so"}
    assert said(tree, f"{LIB}/liba.so.1") == "/usr/bin/web links liba.so.1 (DT_NEEDED), found by ld.so.conf"
    assert said(tree, f"{LIB}/libc.so") == "unreached: nothing that stays links or loads it"


def test_the_linkers_order_is_kept() -> None:
    world = World(
        web={
            "/opt/web/bin/web": elf("liba.so", runpath=("$ORIGIN/../lib",)),
            "/opt/web/lib/liba.so": elf("libb.so", rpath=("$ORIGIN/own",)),
            "/opt/web/lib/own/libb.so": elf("libd.so"),
            "/opt/web/lib/own/libd.so": elf(),
        },
        liba=[f"{LIB}/liba.so", f"{LIB}/libb.so", f"{LIB}/libd.so"],
    )
    tree = world.cut(command=["/opt/web/bin/web"])
    assert files(tree) == {
        "/opt/web/bin/web",
        *(f"/opt/web/lib/{n}" for n in ("liba.so", "own/libb.so", "own/libd.so")),
    }
    assert said(tree, "/opt/web/lib/own/libd.so").endswith("found by DT_RPATH of what loads it")


def test_a_library_in_no_folder_of_the_linker_stays_wherever_it_is() -> None:
    world = World(web={"/usr/bin/web": elf("libjvm.so")}, java=["/usr/lib/java/server/libjvm.so"])
    assert "/usr/lib/java/server/libjvm.so" in files(world.cut("web", command=["web"]))


def test_names_of_libraries_in_texts_are_evidence_for_dlopen() -> None:
    world = World(
        web={"/usr/bin/web": elf(loads=("liba.so.1", "libz.so.9"), notes=("libb.so.1",))},
        libs={f"{LIB}/liba.so.1": elf(), f"{LIB}/libb.so.1": elf(), f"{LIB}/libc.so.1": elf()},
    )
    tree = world.cut(command=["web"])
    assert files(tree) == {"/usr/bin/web", f"{LIB}/liba.so.1", f"{LIB}/libb.so.1"}
    assert said(tree, f"{LIB}/libb.so.1") == "/usr/bin/web may load libb.so.1 (.note.dlopen)"


def test_data_and_plugins_stay_with_the_programs_of_their_package() -> None:
    world = World(
        web={"/usr/bin/web": elf("liba.so")},
        liba={
            f"{LIB}/liba.so": elf(), f"{LIB}/liba/plugins/x.so": elf("libx.so"), "/usr/share/liba/table": Evidence(),
            "/usr/bin/a-tool": elf(), "/var/lib/liba/": Evidence(),
        },
        libx={f"{LIB}/libx.so": elf()},
        libz={f"{LIB}/libz.so": elf(), "/usr/share/libz/table": Evidence()},
    )  # fmt: skip
    tree = world.cut("web", command=["web"])
    assert {f"{LIB}/liba/plugins/x.so", f"{LIB}/libx.so", "/usr/share/liba/table"} <= files(tree)
    assert "/var/lib/liba" in {e.path for e in tree.entries}
    assert not {"/usr/bin/a-tool", "/usr/share/libz/table"} & files(tree)
    assert said(tree, "/usr/bin/a-tool") == "unreached: nothing that stays starts it"


def test_packages_of_data_alone_stay_for_those_that_depend_on_them() -> None:
    tool = {"/usr/bin/tool": elf(), "/etc/tool.conf": Evidence()}
    world = World(web={"/usr/bin/web": elf()}, zones=["/usr/share/zones/UTC"], tool=tool)
    tree = world.cut("web", command=["web"], needs={"web": ["zones", "tool"]})
    assert files(tree) == {"/usr/bin/web", "/usr/share/zones/UTC"}
    assert said(tree, "/usr/share/zones/UTC") == "web needs the data of zones"


def test_scripts_bring_their_interpreter_and_their_commands() -> None:
    world = World(
        files={
            "/start": Evidence(interpreter=("/usr/bin/env", "-S", "sh", "-e"), commands=("sort", "serve", "nothing"))
        },
        coreutils=["/usr/bin/env", "/usr/bin/sort", "/usr/bin/tac"],
        dash=["/usr/bin/dash", "/usr/bin/sh -> dash"],
        web=["/usr/lib/web/7/bin/serve"],
    )
    tree = world.cut(command=["/start"])
    assert files(tree) == {
        "/start", "/usr/bin/env", "/usr/bin/sort", "/usr/bin/sh", "/usr/bin/dash", "/usr/lib/web/7/bin/serve",
    }  # fmt: skip
    assert said(tree, "/usr/bin/sort") == "/start may run sort"


def test_a_shell_is_there_for_those_who_call_system_but_not_for_interpreters() -> None:
    packages = {"dash": ["/usr/bin/dash", "/bin/sh -> /usr/bin/dash"]}
    caller = World(web={"/usr/bin/web": elf(calls=("system",))}, **packages)
    python = World(web={"/usr/bin/python3.13": elf(calls=("system",))}, **packages)
    assert "/usr/bin/dash" in files(caller.cut(command=["web"]))
    assert "/usr/bin/dash" not in files(python.cut(command=["python3.13"]))


def test_a_languages_library_stays_when_its_interpreter_does() -> None:
    perl = {"/usr/bin/perl": elf(), "/usr/share/perl/5.40/strict.pm": Evidence()}
    more = {"/usr/share/perl5/Git.pm": Evidence()}
    with_perl = World(web={"/usr/bin/web": Evidence(interpreter=("/usr/bin/perl",))}, perl=perl, libgit_perl=more)
    without = World(web={"/usr/bin/web": elf()}, perl=perl, libgit_perl=more)
    assert {"/usr/share/perl/5.40/strict.pm", "/usr/share/perl5/Git.pm"} <= files(with_perl.cut(command=["web"]))
    assert files(without.cut(command=["web"])) == {"/usr/bin/web"}


def test_configuration_names_paths_and_modules() -> None:
    world = World(
        web={"/usr/bin/web": elf()},
        conf={"/etc/web/mime.types": Evidence(), "/etc/web/other": Evidence()},
        mods={
            "/usr/lib/x/security/pam_unix.so": elf(),
            "/usr/lib/x/security/pam_deny.so": elf(),
            "/usr/bin/mod": elf(),
        },
    )
    tree = world.cut(command=["web"], template="include /etc/web/mime.types; load pam_unix.so;")
    assert files(tree) == {"/usr/bin/web", "/etc/web/mime.types", "/usr/lib/x/security/pam_unix.so"}
    assert said(tree, "/etc/web/mime.types") == "the declaration's file /etc/x names it"


def test_a_folder_that_a_program_names_brings_its_data() -> None:
    world = World(
        web={"/usr/bin/web": elf(paths=("/usr/share/zones", "/usr/share"))},
        zones={"/usr/share/zones/UTC": Evidence(), "/usr/bin/zdump": elf()},
        other={"/usr/share/other/x": Evidence(), "/usr/bin/other": elf()},
    )
    assert files(world.cut(command=["web"])) == {"/usr/bin/web", "/usr/share/zones/UTC"}


PYTHON3 = {"/usr/bin/python3 -> python3.13": Evidence()}
PYTHON = {
    "/usr/bin/python3.13": elf(), "/usr/bin/python3 -> python3.13": Evidence(),
    "/usr/lib/python3.13/os.py": Evidence(), "/usr/lib/python3.13/shelve.py": Evidence(imports=("dbm",)),
    "/usr/lib/python3.13/dbm/__init__.py": Evidence(), "/usr/lib/python3.13/dbm/gnu.py": Evidence(),
    "/usr/lib/python3.13/lib-dynload/_dbm.cpython-313-x86_64-linux-gnu.so": elf("libdb.so"),
    "/usr/lib/python3.13/sqlite3/__init__.py": Evidence(),
}  # fmt: skip


def test_groups_of_the_standard_library_stay_when_they_are_imported() -> None:
    db = {f"{LIB}/libdb.so": elf()}
    plain = World(python3=PYTHON3, libpython=PYTHON, libdb=db, files={"/app/main.py": Evidence(imports=("os",))})
    tree = plain.cut("python3", command=["python3", "/app/main.py"], python="3.13")
    assert "/usr/lib/python3.13/shelve.py" in files(tree)
    assert not any("dbm" in path or "libdb" in path for path in files(tree))
    assert said(tree, "/usr/lib/python3.13/dbm/gnu.py").startswith("feature python.dbm: nothing that stays asks for")
    user = World(
        python3=PYTHON3, libpython=PYTHON, libdb=db, files={"/app/main.py": Evidence(imports=("shelve.open",))}
    )
    tree = user.cut("python3", command=["python3", "/app/main.py"], python="3.13")
    assert {"/usr/lib/python3.13/dbm/gnu.py", f"{LIB}/libdb.so"} <= files(tree)
    assert said(tree, "/usr/lib/python3.13/dbm/__init__.py") == "/usr/lib/python3.13/shelve.py imports dbm"


SITE = "/usr/local/lib/python3.13/dist-packages"


def test_a_distribution_is_the_unit_but_lean_takes_modules() -> None:
    world = World(
        python3=PYTHON3, libpython=PYTHON,
        wheel__web={
            f"{SITE}/web/__init__.py": Evidence(imports=(".core", "web.plug.*")), f"{SITE}/web/core.py": Evidence(),
            f"{SITE}/web/extra.py": Evidence(), f"{SITE}/web/plug/a.py": Evidence(),
            f"{SITE}/web/table.json": Evidence(),
            "/usr/local/bin/web": Evidence(interpreter=("/usr/bin/python3",)),
        },
        files={"/app/main.py": Evidence(imports=("web",))},
    )  # fmt: skip
    given = {"command": ["python3", "/app/main.py"], "python": "3.13", "wheels": {"web": ""}}
    safe = world.cut("python3", **given)  # type: ignore[arg-type]
    assert f"{SITE}/web/extra.py" in files(safe)
    assert "/usr/local/bin/web" not in files(safe)
    lean = world.cut("python3", trim="lean", **given)  # type: ignore[arg-type]
    assert {f"{SITE}/web/{n}" for n in ("__init__.py", "core.py", "plug/a.py", "table.json")} <= files(lean)
    assert not {f"{SITE}/web/extra.py", "/usr/lib/python3.13/shelve.py"} & files(lean)


def test_features_turn_paths_off_with_all_that_only_they_reach() -> None:
    world = World(
        postgres={"/usr/bin/postgres": elf(), "/usr/lib/postgresql/17/lib/llvmjit.so": elf("libLLVM.so")},
        llvm={f"{LIB}/libLLVM.so": elf()},
    )
    assert f"{LIB}/libLLVM.so" in files(world.cut("postgres", command=["postgres"]))
    tree = world.cut("postgres", command=["postgres"], features={"postgres.jit": False})
    assert files(tree) == {"/usr/bin/postgres"}
    assert said(tree, "/usr/lib/postgresql/17/lib/llvmjit.so").startswith(
        "feature postgres.jit: the declaration says false"
    )


def test_keep_and_the_command_overrule_every_rule() -> None:
    world = World(web={"/usr/sbin/update-web": elf(), "/etc/init.d/web": Evidence(), "/etc/init.d/web2": Evidence()})
    tree = world.cut("web", command=["update-web"], keep=["/etc/init.d/web"])
    assert files(tree) == {"/usr/sbin/update-web", "/etc/init.d/web"}
    assert said(tree, "/etc/init.d/web2").startswith("init-systems: ")


def test_level_packages_cuts_nothing() -> None:
    world = World(web=["/usr/bin/web"], rest=["/usr/bin/rest"])
    assert world.cut("web", command=["web"], trim="packages") == world.tree


@pytest.mark.parametrize("name", ["postgres.jitt", "python.sqlite"])
def test_a_feature_that_is_none_or_of_another_type_is_refused(name: str) -> None:
    from oslet.errors import DeclarationError
    from oslet.trim.features import check

    with pytest.raises(DeclarationError) as error:
        check([(name, "yes")], "web.toml")
    assert str(error.value).startswith(f"web.toml: features.{name}: ")
    assert "postgres.jit" in error.value.hint or "sqlite3" in error.value.hint


def test_libtools_descriptions_of_plugins_stay_and_those_for_linking_go() -> None:
    """ImageMagick opens its coders by lt_dlopen(3), which reads the .la file beside each."""
    plugin = f"{LIB}/magick/coders/png.la"
    world = World(
        magick={"/usr/bin/magick": elf("libm.so")},
        lib={f"{LIB}/libm.so": elf(), plugin: Evidence(), f"{LIB}/libm.la": Evidence()},
    )
    tree = world.cut("magick", command=["magick"])
    assert plugin in files(tree) and f"{LIB}/libm.la" not in files(tree)


def test_a_shells_command_in_the_declaration_names_programs() -> None:
    world = World(dash={"/usr/bin/sh": elf()}, gpg={"/usr/bin/gpg": elf(), "/usr/bin/gpgv": elf()})
    assert files(world.cut("dash", command=["sh", "-c", "echo x | gpg -s && exit"])) == {"/usr/bin/sh", "/usr/bin/gpg"}
