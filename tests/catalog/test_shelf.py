"""What the catalog says of itself, its names on the command line, and where its locks stand."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import oslet as public
from oslet import Secret, catalog
from oslet.catalog.shelf import NAMES, default_of, entries, find, type_of
from oslet.declare import lower
from oslet.errors import DeclarationError
from oslet.model.oslet import Template

from ..conftest import ROOT, Oslet

WORLD = """
import oslet

class Greeter(oslet.Oslet):
    packages = ["busybox-static"]
    command = ["busybox", "echo", "Hello, {who}!"]
    network = "none"
    who: oslet.Str = "world"
"""


def test_every_class_is_whole() -> None:
    for each in entries():
        start, value = each.oslet.start, each.oslet
        assert start.url and start.health and value.checks and start.user != "root", each.name
        assert all(param.help for param in value.params), each.name
        assert not any(isinstance(file.content, Template) for file in value.files), "a subclass couldn't find it"
        assert each.name == value.name and each.summary


def test_names_are_found_however_they_are_written() -> None:
    assert {find(name) for name in ("rabbitmq", "rabbit-mq", "RabbitMQ")} == {"RabbitMQ"}
    with pytest.raises(DeclarationError, match="no 'postgers'") as missed:
        find("postgers")
    assert "did you mean 'postgres'" in missed.value.hint
    assert list(NAMES.values()) == catalog.__all__


def test_params_are_told_in_few_words() -> None:
    params = {p.name: (type_of(p), default_of(p)) for p in public.catalog.Postgres.lower().params}
    assert params["password"] == ("secret of at least 8 characters", "none")
    assert params["connections"] == ("5 to 10000", "50")
    assert params["shared_buffers"] == ("size", "128MiB")
    assert params["settings"] == ("list of str", "none")
    assert default_of(next(p for p in public.catalog.Asgi.lower().params if p.name == "app")) == "required"


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (lambda: catalog.Postgres(port=0), "Postgres.port"),
        (lambda: catalog.Postgres(password=Secret("short")), "Postgres.password"),
        (lambda: catalog.Postgres(conections=3), "did you mean 'connections'"),  # type: ignore[call-arg]
        (lambda: catalog.Redis(eviction="lru"), "Redis.eviction"),
        (lambda: catalog.Nginx(upstream="ftp://x.test"), "Nginx.upstream"),
        (lambda: catalog.RabbitMQ(password=Secret("long enough"), username='"'), "RabbitMQ"),
        (lambda: catalog.Asgi(app="not an application"), "Asgi.app"),
        (lambda: catalog.StaticSite(fallback="/other"), "StaticSite.fallback"),
    ],
)
def test_wrong_arguments_are_refused(bound: object, said: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        bound()  # type: ignore[operator]
    assert said in str(refused.value)


def test_import_oslet_stays_light() -> None:
    code = (
        "import sys, oslet; before = set(sys.modules); assert not any(m.startswith('oslet.catalog') for m in before);"
        "oslet.catalog; assert 'oslet.catalog.postgres' not in sys.modules; oslet.catalog.Redis;"
        "assert 'oslet.catalog.redis' in sys.modules and 'oslet.catalog.postgres' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_is_what_the_classes_say() -> None:
    written = runpy.run_path(str(ROOT / "docs/generate.py"))["catalog_page"]
    assert (ROOT / "docs/catalog.md").read_text() == written(), "run ./dev docs"


def test_locks_of_installed_classes_are_kept_in_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OSLET_HOME", str(tmp_path))
    lock = catalog.Postgres.declared().lock_file
    assert lock.parent == tmp_path / "locks" and lock.name.startswith("postgres-")
    assert catalog.Postgres.declared(version="15").lock_file != lock

    class Mine(catalog.Postgres):
        """One in a folder of the user's."""

        port = 5433

    assert Mine.declared().lock_file == Path(__file__).with_name("mine.lock")
    assert lower(Mine).wants == lower(catalog.Postgres).wants


def test_the_verb_lists_and_tells(oslet: Oslet) -> None:
    assert {each["name"] for each in oslet.json("catalog")} == set(NAMES)
    one = oslet.json("catalog", "postgres")
    assert (one["target"], one["class"]) == ("catalog:postgres", "oslet.catalog.Postgres")
    assert "| `connections` | 5 to 10000 | 50 |" in oslet("catalog", "postgres").stdout
    assert "static-site" in oslet("catalog").stdout
    assert "did you mean 'redis'" in oslet("catalog", "reddis", code=2).stderr
    assert "needs a value" in oslet("build", "catalog:asgi", code=2).stderr


@pytest.mark.slow
@pytest.mark.network
def test_classes_are_targets(oslet: Oslet, home: Path) -> None:
    (oslet.folder / "world.py").write_text(WORLD)
    assert oslet("run", "world:Greeter", "--who", "you").stdout == "Hello, you!\n"
    assert (oslet.folder / "greeter.lock").exists()
    assert oslet("run", "world.py:Greeter").stdout == "Hello, world!\n"
    built = oslet.json("build", "world:Greeter")
    assert oslet.json("build", str(oslet.folder / "world.py") + ":Greeter")["digest"] == built["digest"]
    assert "did you mean 'Greeter'" in oslet("run", "world:Greter", code=2).stderr
    assert "no module 'wurld'" in oslet("run", "wurld:Greeter", code=2).stderr
    (oslet.folder / "broken.py").write_text("import nothing_of_that_name\n")
    assert "importing it failed: ModuleNotFoundError" in oslet("check", "broken:X", code=2).stderr
    oslet("check", "catalog:memcached")
    oslet("lock", "catalog:memcached")
    assert list((home / "locks").glob("memcached-*.lock"))
    assert oslet.json("size", "catalog:memcached")["files"] > 0


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", ["postgres", "redis", "nginx"])
def test_checks_find_no_difference(oslet: Oslet, free_port: object, name: str) -> None:
    port = free_port()  # type: ignore[operator]
    outcomes = oslet.json("test", f"catalog:{name}", "--network", "host", "--port", str(port))
    assert {each["verdict"] for each in outcomes} == {"same"}
    assert all(each["trimmed"]["code"] >= 0 for each in outcomes)


@pytest.mark.slow
@pytest.mark.network
def test_sizes_are_what_is_built(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("OSLET_HOME", str(home))
    for each in entries():
        if each.measured:
            built = getattr(catalog, each.spelled).build()
            assert built.image.size == pytest.approx(each.measured.size, rel=0.1), f"{each.name}: measure it again"
