"""What images weigh: by oslet at each level, by ``docker build`` from a minbase, and as tracing would cut them."""

from __future__ import annotations

import statistics
import tarfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from unittest import mock

from bench import dockered, traced
from bench.applications import APPLICATIONS, Application, Bar, built, folder
from bench.measure import Figure, Skip, say, show, table
from bench.ours import Ours
from oslet.bind import is_rendered
from oslet.build import image as build_image
from oslet.build.evidence import Reader
from oslet.build.ldconfig import linker_folders
from oslet.errors import OsletError
from oslet.model.image import Built
from oslet.model.tree import Entry, Tree
from oslet.store import Store
from oslet.trim.asked import Asked
from oslet.trim.cut import Given, cut
from oslet.workspace import Workspace
from oslet.workspace.edition import edition

MIB = 1 << 20
BEST, QUICK = 19, 9
"""zstd's levels: for what is held to a bar, and for the rest, since 19 packs a megabyte or two a second."""
SHELLS = {f"{folder}/{name}" for folder in ("/bin", "/usr/bin") for name in ("sh", "dash", "bash", "busybox")}

ABOUT = f"""\
MiB of all regular files; packed: the whole root in one tar by zstd -{BEST}, or, with ~, by zstd -{QUICK} (which leaves
about a tenth more). A program is an executable that is neither a library nor a module. *docker build*: `FROM` a
minbase, `apt-get install --no-install-recommends`, wheels by pip in a venv, lists and caches removed. *traced*: the
untrimmed tree cut down to what a short test drive opened or looked at, as slim does it, with the folders around it and
the application's own files; × is against *safe* of the same application."""
PROBED = """\
What tracing costs: the same application with {} more abilities in a file of its own (`bench/rare.py`: names of users,
time zones, codecs, a database, other processes, …), none of which the test drive used."""


class Made(NamedTuple):
    """One image, weighed; ``packed`` is its tar's bytes by zstd at ``level``, once that is known."""

    application: str
    how: str
    size: int
    files: int
    programs: int
    shell: bool
    packed: Future[int]
    level: int
    bar: Bar | None = None
    note: str = ""


def section(room: Path) -> str:
    """Bytes, files and programs of five applications: oslet at each level, docker build, traced; the trim's seconds."""
    ours = Ours("web", room)
    workspace = Workspace(room / "warm", notice=say)
    places = {each.name: folder(each, room) for each in APPLICATIONS}
    speed = [*trim_speed(workspace, places["postgres, jit off"]), no_op(ours)]
    rows: list[Made | str] = []
    probes: list[tuple[Application, traced.Probed]] = []
    with packing() as packers:
        peers = by_docker(places, room, packers)
        for application in APPLICATIONS:
            try:
                images, safe = by_oslet(workspace, places[application.name], application, packers)
                rows += images
                if application.suite == "trixie":
                    made, found = by_tracing(workspace, safe, application, places[application.name], room, packers)
                    rows.append(made)
                    probes += [(application, found)] if found else []
            except (Skip, OsletError, OSError) as reason:
                rows.append(f"{application.name}: skipped: {reason}")
    order = [each.name for each in APPLICATIONS]
    weighty = [row for row in (*rows, *peers) if isinstance(row, Made)]
    weighty.sort(key=lambda row: order.index(row.application))
    parts = [ABOUT, weights(weighty), *(row for row in (*rows, *peers) if isinstance(row, str))]
    if probes:
        parts += [PROBED.format(max(each.asked for _, each in probes)), abilities(probes)]
    return "\n\n".join([*parts, table(speed)])


# The contestants


def by_oslet(
    workspace: Workspace, where: Path, application: Application, packers: ThreadPoolExecutor
) -> tuple[list[Made], Built]:
    """Each variant, and the image of the safe one that has the application's own features."""
    made, safe = [], None
    for variant in application.variants:
        say(f"{application.name}: {variant.words}")
        _, image = built(workspace, where, application, variant)
        if variant.trim == "safe":
            safe = safe or image
        level = BEST if variant.bar and variant.bar.packed else QUICK
        tree = workspace.tree(image.image)
        made.append(weighed(application, variant.words, tree, workspace.store, packers, level, variant.bar))
    assert safe is not None
    return made, safe


def by_tracing(
    workspace: Workspace,
    image: Built,
    application: Application,
    where: Path,
    room: Path,
    packers: ThreadPoolExecutor,
) -> tuple[Made, traced.Probed | None]:
    """The traced image, tried; and of a Python application, what it lost."""
    say(f"{application.name}: tracing")
    whole, paths = traced.used(workspace, image, application, room)
    tree = traced.only(whole, paths)
    fault = traced.serves(workspace, image, application, tree, room)
    probed = traced.probed(workspace, where, application, paths, room) if application.wheels else None
    made = weighed(application, "traced", tree, workspace.store, packers, QUICK, None)
    return made._replace(note=f"does not serve: {fault}" if fault else "serves the test drive"), probed


def by_docker(places: dict[str, Path], room: Path, packers: ThreadPoolExecutor) -> list[Made | str]:
    peers = tuple(each for each in APPLICATIONS if each.packages)
    rows: list[Made | str] = []
    try:
        with dockered.minbase(peers, room) as (url, environment):
            for each in peers:
                try:
                    tar = dockered.rootfs(each, places[each.name], url, environment, room)
                except Skip as reason:
                    rows.append(f"{each.name}: docker build skipped: {reason}")
                    continue
                rows.append(weighed_tar(each, "docker build", tar, packers))
    except Skip as reason:
        rows.append(f"docker build skipped: {reason}")
    return rows


# Weighing


@contextmanager
def packing() -> Iterator[ThreadPoolExecutor]:
    """Packs beside what else is done; what goes wrong doesn't wait for what is still to be packed."""
    with ThreadPoolExecutor(2) as packers:
        try:
            yield packers
        except BaseException:
            packers.shutdown(wait=False, cancel_futures=True)
            raise


def weighed(
    application: Application,
    how: str,
    tree: Tree,
    store: Store,
    packers: ThreadPoolExecutor,
    level: int,
    bar: Bar | None,
) -> Made:
    packed = packers.submit(_pack_tree, tree, store, level)
    return _made(application, how, tree.entries, packed, level, bar)


def weighed_tar(application: Application, how: str, tar: Path, packers: ThreadPoolExecutor) -> Made:
    with tarfile.open(tar) as read:
        entries = list(_entries(read))
    return _made(application, how, entries, packers.submit(_pack_file, tar, QUICK), QUICK, None)


def _entries(tar: tarfile.TarFile) -> Iterator[Entry]:
    """What a tar holds, as entries of a tree; a second name of a file is one without bytes."""
    for member in tar:
        kind = "dir" if member.isdir() else "link" if member.issym() else "file"
        if member.isreg() or member.islnk() or kind != "file":
            size = member.size if member.isreg() else 0
            yield Entry("/" + member.name.strip("/"), kind, member.mode & 0o7777, size=size)  # type: ignore[arg-type]


def _made(
    application: Application, how: str, entries: Iterable[Entry], packed: Future[int], level: int, bar: Bar | None
) -> Made:
    entries = list(entries)
    files = [e for e in entries if e.kind == "file"]
    shell = any(e.path in SHELLS for e in entries)
    programs = sum(e.program for e in files)
    return Made(application.name, how, sum(e.size for e in files), len(files), programs, shell, packed, level, bar)


class _Count:
    """A file for writing that only counts."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""


def _packing(count: _Count, level: int) -> IO[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
    except ImportError:
        from backports import zstd
    file: IO[bytes] = zstd.ZstdFile(count, "w", level=level)
    return file


def _pack_tree(tree: Tree, store: Store, level: int) -> int:
    count = _Count()
    kinds = {"dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "file": tarfile.REGTYPE}
    with _packing(count, level) as out, tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        for entry in tree.entries:
            member = tarfile.TarInfo(entry.path.lstrip("/") or ".")
            member.type, member.mode, member.size = kinds[entry.kind], entry.mode, entry.size
            member.uid, member.gid, member.linkname = entry.uid, entry.gid, entry.target
            if entry.kind == "file":
                with store.object(entry.digest).open("rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)
    return count.bytes


def _pack_file(tar: Path, level: int) -> int:
    count = _Count()
    with _packing(count, level) as out, tar.open("rb") as stream:
        while block := stream.read(MIB):
            out.write(block)
    tar.unlink()
    return count.bytes


# Words


def weights(made: list[Made]) -> str:
    head = ("image", "made by", "MiB", "packed", "files", "programs", "shell", "×", "bar", "", "note")
    lines = [head, ("---", "---", "---:", "---:", "---:", "---:", "---", "---:", "---", "---", "---")]
    safe = {m.application: m.size for m in reversed(made) if m.how.startswith("oslet, safe")}
    for each in made:
        packed = each.packed.result() / MIB
        lines.append(
            (
                each.application,
                each.how,
                f"{each.size / MIB:.1f}",
                f"{'~' if each.level != BEST else ''}{packed:.1f}",
                f"{each.files:,}",
                f"{each.programs:,}",
                "yes" if each.shell else "no",
                f"{each.size / safe[each.application]:.1f}" if each.application in safe else "",
                *held(each, packed),
                each.note.replace("|", "/"),
            )
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def held(made: Made, packed: float) -> tuple[str, str]:
    """The bar in words, and whether it is met; if not, in what."""
    bar = made.bar
    if bar is None:
        return "", ""
    words = f"≤ {bar.size:g}" + (f" / {bar.packed:g}" if bar.packed else "")
    words += f", {bar.programs} program{'s' * (bar.programs != 1)}" if bar.programs else ""
    short = [
        *(["MiB"] if made.size > bar.size * MIB else []),
        *(["packed"] if bar.packed and packed > bar.packed else []),
        *(["programs"] if bar.programs and made.programs > bar.programs else []),
        *(["shell"] if made.shell and not bar.shell else []),
    ]
    return words, f"**missed** ({', '.join(short)})" if short else "met"


def abilities(probes: list[tuple[Application, traced.Probed]]) -> str:
    lines = [("image", "untrimmed", "oslet, safe", "traced", "what the traced one lost"), ("---",) * 5]
    for application, found in probes:
        lost = ", ".join(name.replace("_", " ") for name in found.lost)
        lines.append((application.name, str(found.asked), str(found.safe), str(found.traced), lost))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# Seconds


def trim_speed(workspace: Workspace, where: Path) -> list[Figure]:
    """CPU seconds of cutting postgres, jit off: nothing known, and what each file says remembered."""
    (postgres,) = (each for each in APPLICATIONS if each.example == "postgres")
    variant = next(each for each in postgres.variants if each.trim == "safe")
    with mock.patch.object(build_image, "reached", wraps=build_image.reached) as heard:
        try:
            declared, image = built(workspace, where, postgres, variant)
        except Skip as reason:
            return [Figure("trimming postgres", "–", note=f"skipped: {reason}")]
    whole, base, *_ = heard.call_args.args  # what the build cuts
    tree, folders, lock, oslet = whole.tree(), linker_folders(whole), workspace.lock_of(image.image), declared.oslet
    files = tuple(f for f in oslet.files if is_rendered(f.content))
    digests = {p.name: p.sha256 for p in lock.packages}

    def seconds(memory: str) -> float:
        began = time.thread_time()
        read = Reader(workspace.store, digests, memory)
        cut(tree, Given(Asked(oslet.start, files, ()), oslet.policy, lock, base.relations, folders, read))
        return time.thread_time() - began

    cold = statistics.median(seconds(f"nothing is known under this name {turn}") for turn in range(3))
    warm = statistics.median(seconds(edition()) for _ in range(5))
    note = f"CPU seconds, of {len(tree.entries):,} paths"
    return [
        Figure("trimming postgres, nothing known", show(cold), "≤ 3 s", cold <= 3, note),
        Figure("trimming postgres, evidence remembered", show(warm), "≤ 500 ms", warm <= 0.5, note),
    ]


def no_op(ours: Ours) -> Figure:
    """A build of web with nothing to do."""
    seconds = statistics.median(ours.timed(ours.warm, "build", ours.file) for _ in range(7))
    return Figure("no-op build of web", show(seconds), "≤ 100 ms", seconds <= 0.1, "wall, as a process")
