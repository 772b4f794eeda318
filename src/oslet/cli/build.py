"""``oslet build``: read as ``run`` is, since a look-up should cost no more than it must."""

from __future__ import annotations

from collections.abc import Sequence

from oslet.cli.targets import spelled
from oslet.cli.usage import usage
from oslet.run.words import Option, pair, read

OPTIONS = (
    Option("set", "s", "NAME=VALUE", "a build-time param's value", many=True),
    Option("json", "", "", "print the image as JSON"),
    Option("help", "h", "", "this help"),
)
USAGE = "Usage: oslet build [OPTIONS] FILE"


def quick(words: Sequence[str]) -> int:
    """Build an image and print its digest; a second run is a look-up."""
    found = read(words, OPTIONS)
    if "help" in found.options or len(found.rest) != 1:
        about = "Build an image and print its digest; a second run is a look-up."
        return usage(USAGE, about, OPTIONS, asked="help" in found.options)
    from oslet.cli import render
    from oslet.workspace import Declared, Workspace

    given = dict(pair(word, "=", "--set") for word in found.options.get("set", []))
    with render.progress() as listen:
        built = Workspace(progress=listen, notice=render.talk).build(Declared.read(spelled(found.rest[0]), given))
    image = built.image
    if "json" in found.options:
        facts = ("name", "arch", "size", "files", "plan", "tree")
        render.as_json({"digest": built.digest, **{name: getattr(image, name) for name in facts}})
        return 0
    render.talk(f"{image.name}: {image.files} files, {render.size(image.size)}")
    render.data(built.digest)
    return 0
