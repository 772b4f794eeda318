"""Which wheels answer a request in an image: chosen by uv, for the image's Python and platform, not the host's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oslet.archive import pypi, uvtool
from oslet.build.wheels import lay_wheels, site
from oslet.codec import canonical
from oslet.errors import IntegrityError, NetworkError, OsletError, ResolveError
from oslet.model.lock import Arch, Wheel
from oslet.store import Store
from oslet.testing.wheels import make_wheel


class NoNetwork:
    def get(self, url: str, *, limit: int, offset: int = 0) -> Iterator[bytes]:
        raise AssertionError(f"asked for {url}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "wheels"
    path.mkdir()
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def resolve(folder: Path, *requirements: str, python: str = "3.13", arch: Arch = "amd64") -> dict[str, Wheel]:
    return {wheel.name: wheel for wheel in pypi.resolve(requirements, python, arch, folder=folder)}


def test_each_wheel_says_who_brought_it_and_how(folder: Path) -> None:
    made, path = make_wheel(folder, "web", "2.0", requires=("core>=1,<3", "tools[fast]>=1"))
    make_wheel(folder, "core", "2.1", requires=("tools>=0.5",))
    make_wheel(folder, "core", "3.0")
    make_wheel(folder, "tools", "1.5", requires=('quick==1.0; extra == "fast"', 'ghost; python_version < "3"'))
    make_wheel(folder, "quick", "1.0")
    found = resolve(folder, "web >= 1")
    assert {w.name: (w.version, w.by, w.request) for w in found.values()} == {
        "core": ("2.1", "web", "core>=1,<3"),
        "quick": ("1.0", "tools", "quick==1.0"),
        "tools": ("1.5", "web", "tools[fast]>=1"),
        "web": ("2.0", "", "web >= 1"),
    }
    web = found["web"]
    assert (web.file, web.size, web.sha256) == (path.name, path.stat().st_size, made.sha256)
    assert list(found) == sorted(found) and b"://" not in canonical(tuple(found.values()))


def test_every_chain_ends_at_the_declaration_though_wheels_need_each_other(folder: Path) -> None:
    make_wheel(folder, "app", requires=("b",))
    make_wheel(folder, "a", requires=("b",))
    make_wheel(folder, "b", requires=("a",))
    found = resolve(folder, "app")
    assert {w.name: w.by for w in found.values()} == {"app": "", "b": "app", "a": "b"}


TAGS = (
    "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp313-cp313-manylinux_2_28_x86_64",
    "cp313-cp313-manylinux_2_99_x86_64",
    "cp313-cp313-musllinux_1_1_x86_64",
    "cp313-cp313-manylinux_2_28_aarch64",
    "cp312-cp312-manylinux_2_28_x86_64",
    "cp311-abi3-manylinux_2_17_x86_64",
    "py3-none-any",
)


@pytest.mark.parametrize(
    ("python", "arch", "tag"),
    [("3.13", "amd64", TAGS[1]), ("3.13", "arm64", TAGS[4]), ("3.11", "amd64", TAGS[6]), ("3.11", "arm64", TAGS[7])],
)
def test_the_wheel_is_the_best_for_the_image(folder: Path, python: str, arch: Arch, tag: str) -> None:
    for each in TAGS:
        make_wheel(folder, "native", tag=each)
    assert resolve(folder, "native", python=python, arch=arch)["native"].file == f"native-1.0-{tag}.whl"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("not a name", "'not a name' is not a requirement"),
        ("-r /etc/passwd", "is not a requirement"),
        ("--index-url=x", "is not a requirement"),
        ("a\n-r /etc/passwd", "is not a requirement"),
        ("web @ https://host/web.whl", "by URL, which a lock can't hold"),
        ("nosuch", "nosuch was not found"),
        ("web==99", "no version of web==99"),
        ("web", "all versions of web depend on core>=9"),
        ("foreign", "foreign==1.0 has no wheel for Python 3.13 on x86_64 with glibc 2.41"),
    ],
)
def test_a_request_without_an_answer_says_why(folder: Path, request_: str, message: str) -> None:
    make_wheel(folder, "web", requires=("core>=9",))
    make_wheel(folder, "core", "2.0")
    make_wheel(folder, "foreign", tag="cp313-cp313-win_amd64")
    with pytest.raises(ResolveError) as caught:
        resolve(folder, request_)
    text = str(caught.value)
    assert message in text.replace("\n  ", " "), text
    assert "there are wheels for win_amd64;" in text or request_ != "foreign"
    assert len(text.splitlines()) <= 12 and caught.value.hint and "conclude that your requirements" not in text


def test_the_callers_project_has_no_say(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(folder, "web", "1.0")
    make_wheel(folder, "web", "2.0")
    project = tmp_path / "project"
    project.mkdir()
    project.joinpath("uv.toml").write_text("[pip]\nresolution = 'lowest'\n")
    monkeypatch.chdir(project)
    monkeypatch.setenv("UV_WORKING_DIR", str(project))
    assert resolve(folder, "web")["web"].version == "2.0"


def test_nothing_is_asked_for_nothing(folder: Path, store: Store) -> None:
    assert pypi.resolve((), "3.13", "amd64") == ()
    assert pypi.fetch((), "3.13", "amd64", store, NoNetwork()) == {}


def test_what_the_store_has_is_not_fetched(folder: Path, store: Store) -> None:
    wheel, path = make_wheel(folder)
    first = pypi.fetch([wheel], "3.13", "amd64", store, NoNetwork(), folder=folder)
    path.unlink()
    assert pypi.fetch([wheel], "3.13", "amd64", store, NoNetwork()) == first
    assert set(first) == {"app"}


def test_a_folder_that_lacks_a_wheel_or_holds_another_is_an_error(folder: Path, store: Store) -> None:
    wheel, path = make_wheel(folder)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError):
        pypi.fetch([wheel], "3.13", "amd64", store, NoNetwork(), folder=folder)
    path.unlink()
    with pytest.raises(ResolveError, match="isn't there"):
        pypi.fetch([wheel], "3.13", "amd64", store, NoNetwork(), folder=folder)


def test_an_index_that_cant_be_reached_is_a_network_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with pytest.raises(NetworkError) as caught:
        pypi.resolve(["fastapi"], "3.13", "amd64")
    assert len(str(caught.value).splitlines()) <= 12


def test_what_uv_says_is_condensed_to_a_dozen_lines() -> None:
    step = "Because a{0}>=1 depends on b{0} and c{0}<2 is unavailable, we can conclude that a{0} cannot be used.\n"
    text = "error: No solution found when resolving dependencies\n  cause: " + "".join(map(step.format, range(40)))
    with pytest.raises(OsletError) as caught:
        raise uvtool._explained(text, uvtool.Target("3.13", "amd64", ""))
    assert len(str(caught.value).splitlines()) <= 12


@pytest.mark.network
@pytest.mark.slow
def test_real_wheels_are_laid_down_as_uv_installs_them(store: Store, tmp_path: Path) -> None:
    """FastAPI, uvicorn, Flask and gunicorn with what they need, against ``uv pip install --target``."""
    import uv

    from oslet.archive.transport import HttpTransport

    asked = ["fastapi", "uvicorn[standard]", "flask", "gunicorn"]
    wheels = pypi.resolve(asked, "3.13", "amd64", glibc="2.41")
    assert wheels == pypi.resolve(asked, "3.13", "amd64", glibc="2.41")
    assert b"://" not in canonical(wheels) and all(w.request != w.name for w in wheels if w.by)
    found = pypi.fetch(wheels, "3.13", "amd64", store, HttpTransport())
    contents = lay_wheels(store, [(w, found[w.name]) for w in wheels], "3.13")
    target = tmp_path / "target"
    words = ["--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_40", "--quiet", "--no-deps"]
    pins = [f"{w.name}=={w.version}" for w in wheels]
    install = [uv.find_uv_bin(), "pip", "install", "--target", str(target), *words, *pins]
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run(install, check=True, cwd=tmp_path, env=environment)
    own = ("RECORD", "INSTALLER", "REQUESTED", "uv_cache.json", "direct_url.json", ".lock")
    theirs = {
        str(path.relative_to(target)): (path.read_bytes(), bool(path.stat().st_mode & 0o111))
        for path in target.rglob("*")
        if path.is_file() and path.name not in own and path.relative_to(target).parts[0] != "bin"
    }
    ours = {
        entry.path.removeprefix(site("3.13") + "/"): (store.read(entry.digest), bool(entry.mode & 0o111))
        for each in contents
        for entry in each.entries
        if entry.path.startswith(site("3.13")) and entry.path.rpartition("/")[2] not in own
    }
    assert ours == theirs
    commands = {e.path for each in contents for e in each.entries if e.path.startswith("/usr/local/bin/")}
    assert commands == {f"/usr/local/bin/{p.name}" for p in (target / "bin").iterdir()}
