"""Debugging: the image whose tools look at instances that have none."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from oslet.workspace.declared import Declared

if TYPE_CHECKING:
    from oslet.model.image import Built
    from oslet.workspace import Workspace

NAME = "debug.toml"


def tools(workspace: Workspace) -> Built:
    """The default tools, built when they are first wanted; locked beside the store, so that they stay as they are until
    another oslet declares others."""
    text = files(__package__).joinpath(NAME).read_text("utf-8")
    folder = workspace.root / "debug"
    file = folder / NAME
    if not file.exists() or file.read_text("utf-8") != text:
        folder.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".lock").unlink(missing_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(text, "utf-8")
        fresh.replace(file)
    return workspace.build(Declared.read(file))
