"""Images as tracing makes them: nothing but the paths that a short test drive used. What do they still do?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from bench.applications import Application, Variant, built, started
from bench.measure import ROOT, say
from oslet.errors import OsletError
from oslet.model.image import Built
from oslet.model.tree import Entry, Tree
from oslet.run import Sealed, Wish, watching
from oslet.workspace import Workspace
from oslet.workspace.watching import untrimmed

PATIENCE = 120.0


class Probed(NamedTuple):
    """How many of ``asked`` probes an application passes in each image, and which the traced one fails."""

    asked: int
    safe: int
    traced: int
    lost: tuple[str, ...]


def used(workspace: Workspace, image: Built, application: Application, room: Path) -> tuple[Tree, frozenset[str]]:
    """The whole tree, and what a test drive on it opened, executed, listed or looked at. Raises RunError, OSError."""
    with workspace.store.writing():
        whole = untrimmed(workspace, image)
        with started(workspace, image, room, whole, Wish(watched=True)) as (running, port):
            running.ready()
            application.drive(port)
            running.stop()
            return workspace.store.load(whole.tree, Tree), frozenset(
                use.path for use in watching.of(workspace.places.state, running.id).uses
            )


def only(whole: Tree, paths: frozenset[str]) -> Tree:
    """What tracing keeps of a tree: the ``paths``, the folders that lead there, the application's own files, and the
    empty layout of the system (/proc, /tmp, /var/…), which tracers add by hand."""

    def stays(entry: Entry) -> bool:
        layout = entry.kind == "dir" and not entry.path.startswith(("/usr/", "/etc/"))
        return entry.path in paths or entry.origin == "files" or layout

    kept = {e.path for e in whole.entries if stays(e)}
    above = {"/".join(parts[:n]) for path in kept for parts in [path.split("/")] for n in range(2, len(parts))}
    stay = kept | above
    return Tree(tuple(e for e in whole.entries if e.path in stay))


def serves(workspace: Workspace, image: Built, application: Application, tree: Tree, room: Path) -> str:
    """Drive the application on a tree once more; empty, or why it doesn't serve."""
    try:
        with started(workspace, image, room, laid_down(workspace, image, tree)) as (running, port):
            running.ready()
            application.drive(port)
    except (OsletError, OSError) as error:
        return str(error).splitlines()[0]
    return ""


def laid_down(workspace: Workspace, image: Built, tree: Tree) -> Sealed:
    return workspace.sealed(image)._replace(tree=workspace.store.save(tree), root=workspace.store.lay_down(tree))


def probed(
    workspace: Workspace, where: Path, application: Application, paths: frozenset[str], room: Path
) -> Probed | None:
    """Ask what ``rare.py`` asks of the application with that file in it: in the safe image, and in what tracing keeps.

    Only what the untrimmed image passes counts. None when that passes nothing.
    """
    shutil.copyfile(ROOT / "bench" / "rare.py", where / "app" / "rare.py")
    _, image = built(workspace, where, application, Variant("safe"))
    with workspace.store.writing():
        whole = untrimmed(workspace, image)
        fine = _passed(workspace, image, whole, room)
        safe = _passed(workspace, image, workspace.sealed(image), room)
        ours = _passed(
            workspace, image, laid_down(workspace, image, only(workspace.store.load(whole.tree, Tree), paths)), room
        )
    if failed := sorted(fine - safe):
        say(f"{application.name}: safe fails {', '.join(failed)}")
    return Probed(len(fine), len(fine & safe), len(fine & ours), tuple(sorted(fine - ours))) if fine else None


def _passed(workspace: Workspace, image: Built, sealed: Sealed, room: Path) -> set[str]:
    """The probes that an instance on a tree passes; none where it doesn't even start."""
    try:
        command = ("python3", "/app/rare.py")
        with started(workspace, image, room, sealed, Wish(command=command)) as (running, _):
            running.wait(PATIENCE)
            said = [json.loads(line) for line in running.logs().splitlines() if line.startswith("{")]
    except OsletError as error:
        say(f"{sealed.tree[:8]}: {error}")
        return set()
    return {each["name"] for each in said if each["ok"]}
