"""A start contract for engines that can't fill params: texts and templates with one set of arguments in them.

Secrets are never exported. A ``files`` entry that is a secret is left for the user to mount; a text or template that
holds one can't be exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from oslet.bind import bind, contents, interpolate, mode_of, start_with
from oslet.codec.templates import template_names
from oslet.codec.texts import names
from oslet.errors import DeclarationError, Fault
from oslet.model.image import Image
from oslet.model.instance import Arguments
from oslet.model.oslet import SecretFile, Start, Template, Text
from oslet.model.param import Param, SecretKind


class Rendered(NamedTuple):
    """One file that holds arguments: its path, content and mode."""

    path: str
    data: bytes
    mode: int


class Bound(NamedTuple):
    """A start contract without holes, the files rendered for it, and (path, param) of each secret to be mounted."""

    start: Start
    rendered: tuple[Rendered, ...]
    secrets: tuple[tuple[str, str], ...]


def bound(image: Image, arguments: Arguments | None = None) -> Bound:
    """The image's start contract with ``arguments``, or else its params' defaults, in it.

    DeclarationError names every param that is used and has no value, and every use of a secret.
    """
    if faults := list(_faults(image, arguments)):
        raise DeclarationError.of(faults)
    known = _known(image, arguments)
    rendered, secrets = [], []
    for file in image.rendered:
        path = interpolate(file.path, known)
        if isinstance(file.content, SecretFile):
            secrets.append((path, file.content.param))
        else:
            data = contents(file.content, known).encode()
            rendered.append(Rendered(path, data, mode_of(file.content, image.params)))
    return Bound(start_with(image.start, known), tuple(rendered), tuple(secrets))


def export_arguments(image: Image, given: Mapping[str, object]) -> Arguments:
    """What was given for an export, checked, with the defaults of the rest; required params may still be missing.

    DeclarationError for unknown names, wrong values, and secrets, which no exported image may hold.
    """
    secret = {p.name for p in image.params if isinstance(p.kind, SecretKind)}
    if faults := [Fault("secrets are never exported", name, "mount it as a file") for name in given if name in secret]:
        raise DeclarationError.of(faults)
    return bind([p for p in image.params if p.name not in secret and (p.name in given or not p.required)], given)


def bindable(image: Image) -> bool:
    """Whether the params' defaults alone make a start contract without holes."""
    return not any(_faults(image, None))


def _faults(image: Image, arguments: Arguments | None) -> Iterator[Fault]:
    params = {p.name: p for p in image.params}
    seen: set[str] = set()
    for where, used in _uses(image):
        for name in used:
            param = params.get(name)
            if param is None or name in seen:
                continue
            if isinstance(param.kind, SecretKind):
                seen.add(name)
                hint = f'give it as a file instead: [files] "/run/secrets/{name}" = {{ secret = "{name}" }}'
                yield Fault(f"uses the secret {name!r}, and secrets are never exported", f"{image.name}: {where}", hint)
            elif not _has_value(param, arguments):
                seen.add(name)
                hint = f"say --set {name}=VALUE"
                yield Fault(f"the param {name!r} has no default and no value was given", f"{image.name}: {where}", hint)


def _uses(image: Image) -> Iterator[tuple[str, Iterable[str]]]:
    start = image.start
    places = [("command", start.command), ("env", [text for _, text in start.env]), ("workdir", [start.workdir])]
    for where, texts in (*places, ("ports", start.ports), ("volumes", start.volumes)):
        for text in texts:
            yield where, names(text)
    for file in image.rendered:
        yield file.path, names(file.path)
        if isinstance(file.content, Template):
            yield file.path, template_names(file.content.text)
        elif isinstance(file.content, Text):
            yield file.path, names(file.content.text)


def _has_value(param: Param, arguments: Arguments | None) -> bool:
    if isinstance(param.kind, SecretKind):
        return False
    return (arguments is not None and param.name in arguments.values) or not param.required


def _known(image: Image, arguments: Arguments | None) -> Arguments:
    """The given values with defaults for the rest, and never a secret."""
    known = export_arguments(image, {})
    if arguments is None:
        return known
    secret = {p.name for p in image.params if isinstance(p.kind, SecretKind)}
    values = {name: value for name, value in arguments.values.items() if name not in secret}
    return Arguments({**known.values, **values}, {**known.separators, **arguments.separators})
