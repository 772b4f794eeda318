"""The params and wants of a declaration: each arrow takes its keys as ``conform`` left them, and gives their value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import fields as struct_fields

from oslet.codec import texts as braces
from oslet.codec.conform import Faults, conform
from oslet.codec.kinds import KindError, parse, told
from oslet.codec.nearest import nearest, suggestion
from oslet.codec.places import Key
from oslet.codec.shape import KINDS, PARAMS
from oslet.model.param import DurationKind, EnumKind, Kind, Param, SecretKind, SizeKind
from oslet.model.source import Debian, Oci, Source

PACKAGE = r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?"
"""Debian Policy 5.6.1, with an architecture as apt writes it."""
_VERSION = r"(?:===?|~=|[<>!]=|[<>])\s*\d+(?:\.\d+)*"
_USUAL_WHEEL = (
    rf"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[a-z0-9]+(?:,[a-z0-9]+)*\])?(?:\s*{_VERSION}(?:,\s*{_VERSION})*)?"
)
"""Requirements that plainly are; the others are asked of packaging, whose import takes longer than all the rest."""


class Texts:
    """The params that texts may hold; ``broken`` are those whose own declaration is faulty."""

    def __init__(self, params: dict[str, Param], faults: Faults) -> None:
        self.params = params
        self.faults = faults
        self.broken: set[str] = set()

    def names(self, key: Key, text: str) -> tuple[str, ...]:
        """The names in a text, having noted what is wrong with its braces."""
        try:
            return braces.names(text)
        except braces.TextError as error:
            self.faults.add(key, error.what, error.hint)
            return ()

    def check(self, key: Key, text: str, *, at_build: bool = False) -> str:
        """A text that may hold params but no secrets; with ``at_build``, only params filled when the image is built."""
        self.known(key, self.names(key, text), secrets=False, at_build=at_build)
        return text

    def known(self, key: Key, names: tuple[str, ...], *, secrets: bool, at_build: bool = False) -> None:
        for name in names:
            param = self.params.get(name)
            if param is None:
                if name not in self.broken:
                    known = [*self.params, *self.broken]
                    hint = suggestion(name, known) if known else ""
                    self.faults.add(
                        key, f"no param is named {name!r}", hint or f"declare it: [params] {name} = {{ type = … }}"
                    )
            elif isinstance(param.kind, SecretKind) and not secrets:
                self.faults.add(
                    key,
                    f"the secret {name!r} would show here",
                    f"use a file's text or template, or its own file: /run/secrets/{name} unless [files] says another",
                )
            elif at_build and param.at != "build":
                self.faults.add(
                    key, f"{name!r} is filled only when an instance starts", f'write at = "build" in the param {name}'
                )


def items(table: dict[str, Any], name: str) -> list[tuple[Key, Any]]:
    return [((name, i), each) for i, each in enumerate(table.get(name, ())) if each is not UNSET]


# params


def params(table: dict[str, Any], faults: Faults) -> tuple[Param, ...]:
    """The params, in the order they are written."""
    found = []
    for name, spec in table.items():
        key: Key = ("params", name)
        if not re.fullmatch(braces.PARAM_NAME, name):
            better = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_0123456789")[:63]
            faults.add(key, f"{told(name)} can't name a param", f"write {better}" if better else "begin with a letter")
            continue
        before = len(faults.found)
        kind = _kind(spec, key, faults)
        default: Any = UNSET
        if isinstance(kind, SecretKind):
            default = spec.get("default", UNSET)  # "" or none
        elif len(faults.found) == before and spec.get("default", UNSET) is not UNSET:
            try:
                default = parse(kind, spec["default"])
            except KindError as error:
                faults.add((*key, "default"), error.what, error.hint)
        if isinstance(kind, SecretKind) and spec.get("at") == "build":
            faults.add((*key, "at"), "a secret can't be part of an image", "leave at out")
        if len(faults.found) == before:
            found.append(Param(name, kind, default, spec.get("help", ""), spec.get("at", "start")))
    return tuple(found)


def _kind(spec: dict[str, Any], key: Key, faults: Faults) -> Kind:
    shape = KINDS[spec["type"]]
    given: dict[str, Any] = {}
    for field in struct_fields(shape):
        value = spec.get(field.name, UNSET)
        if value is UNSET:
            continue
        at = (*key, field.name)
        if field.name in ("min", "max"):
            given[field.name] = _limit(shape, value, at, faults)
        elif field.name == "of":
            given["of"] = _item_kind(value, at, faults)
        elif field.name == "pattern":
            given["pattern"] = _pattern(value, at, faults)
        elif field.name in ("choices", "schemes"):
            given[field.name] = tuple(each for each in value if each is not UNSET)
        else:
            given[field.name] = value
    for least, most in (("min", "max"), ("min_length", "max_length")):
        low, high = given.get(least), given.get(most)
        if low is not None and high is not None and low > high:
            faults.add((*key, least), f"{least} is more than {most}", "exchange them")
    if shape is EnumKind and not given.get("choices", (1,)):
        faults.add((*key, "choices"), "there is no choice", 'write choices = ["…", "…"]')
    if given.get("separator") == "":
        faults.add((*key, "separator"), "can't be empty", 'write " " for a space')
        del given["separator"]
    kind: Kind = shape(**given)  # type: ignore[assignment]
    return kind


def _limit(shape: type[Struct], value: Any, key: Key, faults: Faults) -> Any:
    if shape not in (SizeKind, DurationKind):
        return value
    try:
        return parse(shape(), value)
    except KindError as error:
        faults.add(key, error.what, error.hint)
        return None


def _item_kind(value: Any, key: Key, faults: Faults) -> Any:
    spec = {"type": value} if isinstance(value, str) else dict(value)
    words = [word for word in KINDS if word not in ("list", "secret")]
    if spec.get("type") not in words:
        faults.add(
            key, f"{told(spec.get('type', value))} can't be a list's items", suggestion(str(spec.get("type")), words)
        )
        return KINDS["str"]()
    for word in ("default", "help", "at"):
        if word in spec:
            faults.add((*key, word), "belongs to the list, not to its items", "move it up")
    before = len(faults.found)
    rest = conform({k: v for k, v in spec.items() if k != "type"}, PARAMS[spec["type"]], key, faults)
    return _kind({"type": spec["type"], **rest}, key, faults) if len(faults.found) == before else KINDS["str"]()


def _pattern(value: str, key: Key, faults: Faults) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        faults.add(key, f"{told(value)} isn't a regular expression: {error}")
    return value


# wants


def packages(table: dict[str, Any], texts: Texts) -> tuple[str, ...]:
    found: dict[str, int] = {}
    for key, package in items(table, "packages"):
        texts.check(key, package, at_build=True)
        name, _, version = package.partition("=")
        if "{" not in package:
            if not re.fullmatch(PACKAGE, name) or ("=" in package and not re.fullmatch(r"[A-Za-z0-9.+:~-]+", version)):
                texts.faults.add(key, f"{told(package)} isn't a Debian package", _package_hint(package))
            elif name in found:
                texts.faults.add(key, f"{told(name)} is named twice", "leave one out")
        found[name] = 1
    return tuple(package for _, package in items(table, "packages"))


def _package_hint(written: str) -> str:
    if name := re.match(r"\s*([A-Za-z0-9][A-Za-z0-9+._-]*)\s*(?:\(|[<>=~!]=?|@)\s*([^\s)]*)", written):
        plain = name[1].lower().replace("_", "-")
        return f'write "{plain}", or "{plain}=VERSION" for one exact version'
    better = re.sub(r"[^a-z0-9+.-]+", "-", written.strip().lower()).strip("-")
    return f'write "{better}"' if better and better != written else 'write "name" or "name=version"'


def wheels(table: dict[str, Any], texts: Texts) -> tuple[str, ...]:
    written = items(table, "wheels")
    for key, wheel in written:
        texts.check(key, wheel, at_build=True)
    unusual = [
        (key, wheel) for key, wheel in written if not re.fullmatch(_USUAL_WHEEL, wheel, re.ASCII) and "{" not in wheel
    ]
    if unusual:
        from packaging.requirements import InvalidRequirement, Requirement

        for key, wheel in unusual:
            try:
                Requirement(wheel)
            except InvalidRequirement:
                texts.faults.add(key, f"{told(wheel)} isn't a PEP 508 requirement", 'write it as "flask>=3,<4"')
    return tuple(wheel for _, wheel in written)


def source(table: dict[str, Any], folder: Path, faults: Faults) -> Source:
    if "oci" in table:
        return _oci(table, folder, faults)
    for name, pattern, example in (
        ("suite", r"[a-z][a-z0-9.-]*(/[a-z0-9-]+)*", '"trixie"'),
        ("pockets", r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9.-]*", '"updates" or "security:security"'),
        ("components", r"[a-z][a-z0-9-]*(/[a-z0-9-]+)*", '"main"'),
    ):
        written = table.get(name, [])
        for i, each in enumerate([written] if isinstance(written, str) else written):
            if each is not UNSET and not re.fullmatch(pattern, each):
                key: Key = ("source", name) if isinstance(written, str) else ("source", name, i)
                faults.add(key, f"{told(each)} isn't a {name.removesuffix('s')}", f"write such as {example}")
    given: dict[str, Any] = {k: v if isinstance(v, str) else tuple(v) for k, v in table.items()}
    if "mirror" in given and "://" not in given["mirror"]:
        given["mirror"] = beside(given["mirror"], folder, ("source", "mirror"), faults)
    if "keyring" in given:
        given["keyring"] = beside(given["keyring"], folder, ("source", "keyring"), faults)
    return Debian(**given)


def _oci(table: dict[str, Any], folder: Path, faults: Faults) -> Oci:
    """An existing image: no other key of the source goes with it; one on disk must be there."""
    key: Key = ("source", "oci")
    for name in table:
        if name != "oci":
            faults.add(("source", name), "is a Debian suite's; the source is an image", f"leave {name} out, or oci")
    found = Oci(table["oci"])
    if not found.oci.strip():
        faults.add(key, "names no image", 'write "HOST/NAME:TAG", or the path of an OCI layout or docker archive')
    elif (local := found.path) is not None:
        if "@" not in local[0] or (folder.absolute() / local[0]).exists():
            beside(local[0], folder, key, faults)
        else:
            faults.add(key, f"{told(found.oci)} names no registry", 'write it as "HOST/NAME@sha256:…"')
    return found


def beside(path: str, folder: Path, key: Key, faults: Faults) -> str:
    full = folder.absolute() / path
    if not full.exists():
        faults.add(key, f"there is no {told(path)}", near_hint(full))
    return str(full)


def near_file(path: Path) -> Path | None:
    """The file beside ``path`` whose name is most like it."""
    from itertools import islice

    try:
        found = nearest(path.name, [each.name for each in islice(path.parent.iterdir(), 1000)])
    except OSError:
        return None
    return path.with_name(found) if found else None


def near_hint(path: Path) -> str:
    near = near_file(path)
    return f"did you mean {near.name!r}?" if near else "paths start from the declaration's folder"
