"""The pytest plugin, as a project that uses it sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oslet.run import instances, remove
from oslet.workspace import Workspace

from .conftest import Runs

pytestmark = [pytest.mark.slow, pytest.mark.network]


def test_each_test_has_an_instance_as_it_was_prepared(runs: Runs, store: Path) -> None:
    done = runs(
        """
box = oslet.testing.fixture(Box)
seen = set()

def test_one(box):
    assert read(box.url + "first") == "first" and read(box.url + "greeting") == "hello"
    assert box.url == f"http://{box.host}:{box.port}/" and box.ports == (box.port,)
    assert box.exec(["busybox", "sh", "-c", "echo changed >/srv/box/first"]) == 0
    assert read(box.url + "first") == "changed"
    seen.add((box.id, read(box.url + "number")))

def test_two(box):
    assert read(box.url + "first") == "first"
    seen.add((box.id, read(box.url + "number")))
    assert len(seen) == 2 and len({number for _, number in seen}) == 1, "two instances of one snapshot"
""",
        "--strict-markers",
    )
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["oslet: unpacking packages", "oslet: preparing the data of box, once: *"])
    assert not instances(store / "instances")
    assert not list((store / "volumes").glob("[!.]*")), "nothing is kept"


def test_scopes_share_and_arguments_come_from_other_fixtures(runs: Runs, store: Path) -> None:
    done = runs(
        """
import pytest
first = oslet.testing.fixture(Box, scope="module")
web = oslet.testing.fixture(Box, scope="module", name="site", greeting=lambda first, word: f"{word}:{first.url}")
here = oslet.testing.fixture(
    Box, wish=oslet.testing.Wish(network="host"), params={"greeting": lambda first: first.url}
)
ids = set()

@pytest.fixture(scope="session")
def word():
    return "to"

def test_other_network(here, first):
    assert here.url.startswith("http://127.0.0.1:") and read(here.url + "greeting") == first.url

@pytest.mark.parametrize("n", range(2))
def test_shared(site, first, n):
    url = read(site.url + "greeting").removeprefix("to:")
    assert url == first.inside.url == f"http://{first.name}:8080/"
    assert site.exec(["busybox", "wget", "-q", "-O", "/dev/null", url + "first"]) == 0, "one instance reaches another"
    ids.update((site.id, first.id))
    assert len(ids) == 2

def test_nothing_of_ours():
    pass
"""
    )
    done.assert_outcomes(passed=4)
    done = runs("box = oslet.testing.fixture(Box)\ndef test_a(box): pass\ndef test_b(): pass", "-m", "not oslet")
    done.assert_outcomes(passed=1, deselected=1)
    assert not instances(store / "instances")


def test_a_failed_test_shows_what_its_instances_wrote(runs: Runs, store: Path) -> None:
    text = """
whole = oslet.testing.fixture(Box, scope="session")
def test_before(whole): whole.exec(["busybox", "sh", "-c", "echo early >/proc/1/fd/1"])
def test_it(whole):
    assert whole.exec(["busybox", "sh", "-c", "echo late >/proc/1/fd/1"]) == 0
    assert 0
"""
    done = runs(text)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.re_match_lines([r"-+ oslet whole: box-[0-9a-f]{6} -+", r"\(running; 1 lines in this test\)", "late"])
    done.stdout.no_fnmatch_line("early")
    assert not instances(store / "instances")
    done = runs(text, "--oslet-keep")
    (kept,) = instances(store / "instances")
    assert kept.state == "running"
    done.stdout.fnmatch_lines([f"kept: oslet exec|logs {kept.name}; oslet rm --force {kept.name} ends it"])
    remove(store / "instances", kept.id, force=True)


def test_an_instance_that_ends_says_why(runs: Runs, store: Path) -> None:
    done = runs(
        """
class Broken(Box):
    command = ["busybox", "sh", "-c", "echo so it is >&2; exit 3"]
broken = oslet.testing.fixture(Broken)
wrong = oslet.testing.fixture(Box, greting="x")
def test_broken(broken): pass
def test_wrong(wrong): pass
"""
    )
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(
        ["Broken: broken-* ended before it was healthy", "*so it is", "*oslet broken: broken-*", "(exited with 3; *"]
    )
    done.stdout.fnmatch_lines(["Box: Box.greting: no such param*", "*did you mean 'greeting'?*"])
    done.stdout.no_fnmatch_line("*Traceback*")
    assert not instances(store / "instances")


def test_workers_share_nothing_but_the_snapshot(runs: Runs, store: Path) -> None:
    done = runs(
        """
import pytest
box = oslet.testing.fixture(Box)
once = oslet.testing.fixture(Box, scope="session")

@pytest.mark.parametrize("n", range(4))
def test_it(box, once, n, worker_id):
    assert worker_id in box.name and worker_id in once.name
    assert box.exec(["busybox", "sh", "-c", "test -e /srv/box/mine"]) == 1
    assert box.exec(["busybox", "sh", "-c", "echo >/srv/box/mine"]) == 0
    assert read(box.url + "first") == "first"
""",
        *("-n", "2"),
    )
    done.assert_outcomes(passed=4)
    assert not instances(store / "instances")
    assert all(len(list(image.iterdir())) == 1 for image in (store / "volumes/.snapshots").iterdir())


def test_a_killed_run_leaves_nothing(runs: Runs, pytester: pytest.Pytester, store: Path) -> None:
    runs("box = oslet.testing.fixture(Box)\ndef test_it(box):\n    import os\n    os.kill(os.getpid(), 9)")
    deadline = time.monotonic() + 30
    while instances(store / "instances") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not instances(store / "instances")


def test_a_context_manager_for_who_has_no_pytest(declared: str, store: Path, runtime_path: str, tmp_path: Path) -> None:
    (tmp_path / "box.py").write_text(declared)
    (tmp_path / "unit.py").write_text(
        """
import sys, unittest
import oslet.testing
from box import Box, read

class It(unittest.TestCase):
    def test_it(self):
        with oslet.testing.fresh(Box, greeting="you") as box:
            self.assertEqual(read(box.url + "greeting"), "you")
        self.assertNotIn("pytest", sys.modules)
"""
    )
    environment = {**os.environ, "OSLET_HOME": str(store), "PATH": runtime_path}
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "unit"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not instances(store / "instances")


@pytest.mark.parametrize("user", [["-r"], ["--map-user=1000", "--map-group=1000"]])
def test_where_no_instance_can_be_made_it_is_said_what_is_missing(
    runs: Runs, pytester: pytest.Pytester, user: list[str]
) -> None:
    """In a user namespace that may have none below it, as some containers are."""
    words = [
        "unshare",
        "-U",
        *user,
        "--keep-caps",
        "sh",
        "-c",
        'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"',
        "sh",
    ]
    if subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("user namespaces can't be bounded here")
    done = runs("box = oslet.testing.fixture(Box)\ndef test_it(box): pass", "--oslet-home", "own", before=words)
    done.assert_outcomes(errors=1)
    done.stdout.re_match_lines([r"Box: .*(instances can't be made here|user namespace .* lacks the ids)"])
    done.stdout.no_fnmatch_line("*Error*")


def test_snapshots_go_with_their_images(store: Path) -> None:
    workspace = Workspace(store)
    assert len(list((store / "volumes/.snapshots").iterdir())) == len(workspace.store.image_names())
    workspace.store.remove_image("box")
    assert workspace.gc(dry_run=True).snapshots == workspace.gc().snapshots == 1
    assert workspace.gc().snapshots == 0
    assert len(list((store / "volumes/.snapshots").iterdir())) == len(workspace.store.image_names())


def test_it_costs_nothing_where_it_isn_t_used() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import oslet.testing.plugin;"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('oslet')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
