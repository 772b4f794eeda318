"""``[files]`` of a declaration: what stands at each path, with templates read."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from oslet.codec.kinds import is_absolute, told
from oslet.codec.nearest import suggestion
from oslet.codec.parts import Texts, near_hint
from oslet.codec.places import Key
from oslet.codec.templates import MAX_TEMPLATE, template_names
from oslet.codec.texts import TextError
from oslet.model.oslet import Content, Copy, File, SecretFile, Template, Text
from oslet.model.param import SecretKind

SECRETS = "/run/secrets"


def files(table: dict[str, Any], folder: Path, texts: Texts) -> tuple[File, ...]:
    """The files, sorted by path. Each secret param that no file names stands at ``/run/secrets/NAME``."""
    found: dict[str, Content] = {}
    for path, written in table.items():
        key: Key = ("files", path)
        if not is_absolute(path) or path == "/":
            better = "/" + posixpath.normpath(path.strip()).strip("/. ")
            hint = f'write "{better}"' if len(better) > 1 and better != path else ""
            texts.faults.add(key, f"{told(path)} isn't an absolute path below /", hint)
        elif "{" in path or "}" in path:
            texts.faults.add(key, f"{told(path)} holds braces", "a place is fixed; params go into what stands there")
        elif path.split("/")[1] in ("proc", "sys", "dev"):
            texts.faults.add(key, f"{told(path)} is the kernel's", "choose another place")
        content = _content(key, written, folder, texts)
        if content is not None:
            found[path] = content
    placed = {content.param for content in found.values() if isinstance(content, SecretFile)}
    for name, param in texts.params.items():
        if isinstance(param.kind, SecretKind) and name not in placed:
            found.setdefault(f"{SECRETS}/{name}", SecretFile(name))
    return tuple(File(path, found[path]) for path in sorted(found))


def _content(key: Key, written: Any, folder: Path, texts: Texts) -> Content | None:
    if isinstance(written, str):
        full = _source(key, written, folder, texts)
        return Copy(posixpath.normpath(written)) if full else None
    ways = [way for way in ("template", "secret", "text") if way in written]
    if len(ways) != 1:
        if not ways and texts.faults.under(key):
            return None
        said = f"{' and '.join(ways)} are two contents" if ways else "has no content"
        texts.faults.add(key, said, 'write "./file", { template = "./file" }, { secret = "name" } or { text = "…" }')
        return None
    mode = int(written.get("mode", "0644"), 8)
    if ways == ["secret"]:
        if "mode" in written:
            texts.faults.add((*key, "mode"), "a secret's file has the mode 0400", "leave mode out")
        return _secret((*key, "secret"), written["secret"], texts)
    if ways == ["text"]:
        texts.known((*key, "text"), texts.names((*key, "text"), written["text"]), secrets=True)
        return Text(written["text"], mode)
    return _template((*key, "template"), written["template"], mode, folder, texts)


def _secret(key: Key, name: str, texts: Texts) -> SecretFile | None:
    param = texts.params.get(name)
    if name in texts.broken:
        return None
    secrets = [each for each, param in texts.params.items() if isinstance(param.kind, SecretKind)]
    if param is None:
        hint = suggestion(name, secrets) if secrets else f'declare it: [params] {name} = {{ type = "secret" }}'
        texts.faults.add(key, f"no secret is named {name!r}", hint)
        return None
    if name not in secrets:
        texts.faults.add(
            key, f"the param {name!r} isn't a secret", f'make its type "secret", or write {{ text = "{{{name}}}" }}'
        )
    return SecretFile(name)


def _template(key: Key, written: str, mode: int, folder: Path, texts: Texts) -> Template | None:
    full = _source(key, written, folder, texts)
    if full is None:
        return None
    if full.is_dir():
        texts.faults.add(key, f"{told(written)} is a folder", "a template is one file")
        return None
    try:
        with full.open("rb") as stream:
            data = stream.read(MAX_TEMPLATE + 1)
        text = data.decode()
    except UnicodeDecodeError:
        texts.faults.add(
            key, f"{told(written)} isn't UTF-8", "copy the file instead of rendering it, or save it as UTF-8"
        )
        return None
    except OSError as error:
        texts.faults.add(key, f"{told(written)} can't be read: {error.strerror}")
        return None
    if len(data) > MAX_TEMPLATE:
        texts.faults.add(key, f"{told(written)} is larger than {MAX_TEMPLATE >> 20} MiB", "copy the file instead")
        return None
    try:
        texts.known(key, template_names(text), secrets=True)
    except TextError as error:
        texts.faults.add(key, f"{told(written)}: {error.what}", error.hint)
    return Template(posixpath.normpath(written), text, mode)


def _source(key: Key, written: str, folder: Path, texts: Texts) -> Path | None:
    """The file or folder beside the declaration that ``written`` names."""
    if not written.strip() or written.startswith(("/", "~")) or "://" in written:
        texts.faults.add(
            key,
            f"{told(written)} isn't beside the declaration",
            'write the path relative to the declaration, such as "./app"; for a literal content { text = "…" }',
        )
        return None
    full = folder / written
    if not full.exists():
        texts.faults.add(key, f"there is no {told(written)}", near_hint(full))
        return None
    return full
