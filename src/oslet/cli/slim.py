"""``oslet slim``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.workspace.slimming import Slimmed


@click.command("slim")
@click.argument("image")
@click.option("--name", help="What the new image is called (default: the last word of IMAGE).")
@click.option("--keep", multiple=True, metavar="PATH", help="Paths (with * and **) that stay whatever trim says.")
@click.option("--trim", type=click.Choice(["packages", "safe", "lean"]), help="How much is left out (default: safe).")
@click.option("--package", "packages", multiple=True, metavar="NAME", help="A package whose files all stay.")
@click.option("--tag", "tags", multiple=True, metavar="NAME", help="Another name for the new image.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write it here for `docker load`.")
@click.option(
    "--write", type=click.Path(path_type=Path, dir_okay=False), help="Also write the declaration (TOML) here."
)
@options.as_json
def command(
    image: str,
    name: str | None,
    keep: tuple[str, ...],
    trim: str | None,
    packages: tuple[str, ...],
    tags: tuple[str, ...],
    output: Path | None,
    write: Path | None,
    as_json: bool,
) -> None:
    """Cut an existing image down to its application.

    IMAGE is what `docker save` wrote, an OCI layout (folder or tar), a reference (HOST/NAME:TAG or HOST/NAME@sha256:…),
    or docker:NAME for an image that docker has here; FILE#NAME is one of several in a file.
    """
    from oslet.cli import render
    from oslet.errors import DeclarationError
    from oslet.workspace import slimming
    from oslet.workspace.exports import export

    if write and image.startswith(slimming.DOCKER):
        raise DeclarationError(
            "a declaration can't start from docker's own store", where="--write", hint="docker save it to a file first"
        )
    if write and write.exists():
        raise DeclarationError("something stands there already", where=f"--write {write}")
    with options.workspace() as workspace, slimming.found(image, workspace.store) as source:
        table: dict[str, Any] = {"name": name or slimming.name_of(image), "source": {"oci": source}}
        table |= {"packages": list(packages)} if packages else {}
        table |= {"keep": list(keep)} if keep else {}
        table |= {"trim": trim} if trim else {}
        done = slimming.slim(workspace, table)
        for tag in tags:
            workspace.store.tag(tag, done.built.digest)
        if output:
            export(done.built, "tar", output, workspace.store, workspace.progress, compression="gzip", given={})
        if write:
            slimming.write({**table, "source": {"oci": _beside(source, write)}}, done.built, write)
    if as_json:
        render.as_json(_facts(done))
        return
    for word, was, now in zip(("bytes", "files", "programs"), done.before, done.after):
        shown = (render.size(was), render.size(now)) if word == "bytes" else (str(was), str(now))
        render.talk(f"{word:>8}  {shown[0]:>10} → {shown[1]:>10}{f'  ({was / now:.1f}×)' if now else ''}")
    render.data(done.built.digest)


def _facts(done: Slimmed) -> dict[str, Any]:
    image = done.built.image
    return {
        "digest": done.built.digest,
        "name": image.name,
        "size": image.size,
        "files": image.files,
        "programs": done.after.programs,
        "before": done.before._asdict(),
        "packages": len(done.lock.packages),
        "wheels": len(done.lock.wheels),
        "source": done.lock.image.manifest if done.lock.image else "",
    }


def _beside(source: str, file: Path) -> str:
    """A path as it is written in a declaration at ``file``; a reference as it is."""
    path, mark, name = source.partition("#")
    if not path.startswith("/"):
        return source
    return f"./{os.path.relpath(path, file.absolute().parent)}{mark}{name}"
