"""``oslet plan``."""

from __future__ import annotations

from collections import Counter

import click

from oslet.cli import options


@click.command("plan")
@options.file
@click.option("--paths", is_flag=True, help="List every path of the tree.")
@options.as_json
def command(file: str, paths: bool, as_json: bool) -> None:
    """The tree, its size and the plan's digest; builds nothing.

    Packages are fetched into the store when they are not there, to be looked into.
    """
    from oslet.cli import render
    from oslet.codec import digest
    from oslet.workspace import Declared

    with options.workspace() as workspace:
        declared = Declared.read(file)
        planned = workspace.plan(declared)
        tree = workspace.trimmed(declared, planned.lock)
    if as_json:
        render.as_json(
            {
                "digest": digest(planned.plan),
                "size": tree.size,
                "files": tree.files,
                "dropped": sum(d.size for d in tree.dropped),
                "steps": planned.plan.steps,
                **({"entries": tree.entries} if paths else {}),
            }
        )
        return
    if paths:
        for entry in tree.entries:
            render.data(f"{entry.mode:04o} {entry.size:>10} {entry.path}{' → ' + entry.target if entry.target else ''}")
        return
    sizes: Counter[str] = Counter()
    files: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for entry in tree.entries:
        sizes[entry.origin] += entry.size
        files[entry.origin] += entry.kind == "file"
    for dropped in tree.dropped:
        left_out[dropped.origin] += dropped.size
    versions = {p.name: p.version for p in planned.lock.packages}
    versions |= {f"wheel:{w.name}": w.version for w in planned.lock.wheels}
    render.table(
        ("package", "version", ">files", ">size", ">left out"),
        (
            (name, versions.get(name, ""), str(files[name]), render.size(sizes[name]), render.size(left_out[name]))
            for name, _ in sizes.most_common()
        ),
    )
    render.talk(f"{tree.files} files, {render.size(tree.size)}, before users, caches and byte code are made")
    render.data(digest(planned.plan))
