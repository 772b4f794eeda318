"""The Python spelling: a class is an image's declaration, its annotated fields are the params, calling it binds them.

It lowers through the reader of the TOML spelling, so both give the same value, the same faults and the same digest.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, dataclass_transform, get_args, get_origin

from msgspec import structs

from oslet.codec.conform import Faults
from oslet.codec.places import Key, spell
from oslet.model import oslet as model
from oslet.model.instance import Arguments, Secret
from oslet.model.source import Debian, Oci

if TYPE_CHECKING:
    from oslet.model.image import Built
    from oslet.model.lock import Lock
    from oslet.run import Wish
    from oslet.workspace import Declared
    from oslet.workspace.running import Running

Item = TypeVar("Item")

Str = Annotated[str, "str"]
Int = Annotated[int, "int"]
Float = Annotated[float, "float"]
Bool = Annotated[bool, "bool"]
Enum = Annotated[str, "enum"]
Port = Annotated[int, "port"]
Size = Annotated[int | str, "size"]
Duration = Annotated[float | str, "duration"]
Url = Annotated[str, "url"]
Path = Annotated[str, "path"]
Address = Annotated[str, "address"]
List = Annotated[list[Item], "list"]

_PLAIN: dict[Any, str] = {str: "str", int: "int", float: "float", bool: "bool", Secret: "secret", list: "list"}
_INSTALLED = {"site-packages", "dist-packages"}
_OWN = ("start", "build", "lock", "lower", "declared", "arguments")


class _Hole:
    """What ``param`` returns: a field's default and constraints until its class is read."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec


def param(
    default: Any = ...,
    *,
    help: str = "",  # noqa: A002 - the declaration's own words
    at: Literal["start", "build"] = "start",
    min: float | str | None = None,  # noqa: A002
    max: float | str | None = None,  # noqa: A002
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    choices: Sequence[str] | None = None,
    schemes: Sequence[str] | None = None,
    separator: str | None = None,
) -> Any:
    """A param's default (none: it must be given), its sentence for --help, and the constraints of its type."""
    given = {k: v for k, v in locals().items() if v is not None and k != "default"}
    if not help:
        del given["help"]
    if at == "start":
        del given["at"]
    return _Hole(given if default is ... else {"default": default, **given})


@dataclass_transform(kw_only_default=True, eq_default=False)
class Oslet:
    """An operating system cut down to one application. Subclass it to declare one; call the class to bind its params.

    The docstring is the declaration's help; the name is the class's, in small letters with hyphens, unless ``name``
    says another. Paths in ``files`` start from the folder of the class's module.
    """

    name: ClassVar[str]
    packages: ClassVar[Sequence[str]]
    wheels: ClassVar[Sequence[str]]
    recommends: ClassVar[bool]
    command: ClassVar[Sequence[str]]
    env: ClassVar[Mapping[str, str]]
    workdir: ClassVar[str]
    user: ClassVar[str]
    ports: ClassVar[Sequence[str | int]]
    volumes: ClassVar[Sequence[str]]
    network: ClassVar[Literal["private", "host", "none"]]
    capabilities: ClassVar[Sequence[str]]
    stop_signal: ClassVar[str]
    url: ClassVar[str]
    warm: ClassVar[model.Warm]
    machine: ClassVar[model.Machine]
    trim: ClassVar[model.Level]
    features: ClassVar[Mapping[str, bool | str | Sequence[str] | Mapping[str, bool | str | Sequence[str]]]]
    checks: ClassVar[Sequence[model.Check]]
    keep: ClassVar[Sequence[str]]
    setuid: ClassVar[Sequence[str]]
    source: ClassVar[Debian | Oci]
    files: ClassVar[Mapping[str, str | model.Template | model.SecretFile | model.Text]]
    health: ClassVar[model.Health]
    scripts: ClassVar[Mapping[str, str | model.Rule]]

    _locals: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        frame = sys._getframe(1)  # string annotations of a class within a function find their names there
        cls._locals = {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)

    def __init__(self, **arguments: Any) -> None:
        """Binds the params: DeclarationError with every fault at once."""
        from oslet.bind import bind

        self.arguments: Arguments = bind(lower(type(self)).params, arguments, where=f"{type(self).__name__}.")
        for name, value in self.arguments.values.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.arguments.values.items())
        return f"{type(self).__name__}({shown})"

    @classmethod
    def lower(cls) -> model.Oslet:
        """The value that the class declares, its build-time params open."""
        return lower(cls)

    @classmethod
    def declared(cls, **at_build: Any) -> Declared:
        """The declaration where it stands, its build-time params filled: what the workspace takes."""
        from oslet.bind import at_build as fill
        from oslet.workspace import Declared

        value = fill(lower(cls), at_build, where=f"{cls.__name__}.")
        if value.policy.features:
            from oslet.trim.features import check

            check(value.policy.features, cls.__name__)
        return Declared(value, folder(cls), _lock_file(cls, value))

    @classmethod
    def lock(cls, **at_build: Any) -> Lock:
        """The class's lock, resolved and written when there is none yet: beside its module, or in the store where that
        is an installed package's."""
        from oslet.workspace import Workspace

        return Workspace().locked(cls.declared(**at_build))

    @classmethod
    def build(cls, **at_build: Any) -> Built:
        """The image: built, or looked up when it has been."""
        from oslet.workspace import Workspace

        return Workspace().build(cls.declared(**at_build))

    def start(self, wish: Wish | None = None) -> Running:
        """Start an instance with these arguments, built first if need be; a context manager that ends it.

        ``wish`` is what a start may choose beside the arguments: its name, limits, published ports, volumes.
        """
        from oslet.workspace import Workspace

        values = self.arguments.values
        early = {each.name: values[each.name] for each in lower(type(self)).params if each.at == "build"}
        late = {name: value for name, value in values.items() if name not in early}
        return Workspace().start(type(self).build(**early), Arguments(late, self.arguments.separators), wish)


def lower(cls: type[Oslet]) -> model.Oslet:
    """The value that a class declares. DeclarationError with every fault, each at ``FILE: Class.key``."""
    known = cls.__dict__.get("_lowered")
    if isinstance(known, model.Oslet):
        return known
    from oslet.codec.declaration import lower as lower_table
    from oslet.codec.shape import Declaration

    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)

    def place(key: Key) -> tuple[int, str]:
        inner = key[1:] if key[:1] == ("params",) and len(key) > 1 else key
        shown = cls.__name__ + (f".{spell(inner)}" if inner else "")
        return 0, f"{FilePath(file).name}: {shown}" if file else shown

    keys = [name for name in Declaration.__struct_fields__ if name not in ("params", "help")]
    faults = Faults()
    table: dict[str, Any] = {}
    for name in keys:
        if hasattr(cls, name):
            table[name] = _written(name, getattr(cls, name))
    table.setdefault("name", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower())
    if said := cls.__dict__.get("__doc__"):
        import inspect

        table["help"] = inspect.cleandoc(said)
    table["params"] = _params(cls, keys, faults)
    faults.raise_any(place)
    value = lower_table(table, folder(cls), place)
    cls._lowered = value  # type: ignore[attr-defined]
    return value


def folder(cls: type[Oslet]) -> FilePath:
    """The folder of the class's module, where its paths start and its lock stands; the current one without a file."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return FilePath(file).absolute().parent if file else FilePath.cwd()


def _lock_file(cls: type[Oslet], value: model.Oslet) -> FilePath:
    """Beside the class's module. An installed package's folder isn't the user's to write to: unless a lock was shipped
    there, it is kept in the store's, by what it answers."""
    beside = folder(cls) / f"{value.name}.lock"
    installed = cls.__module__.startswith("oslet.") or not _INSTALLED.isdisjoint(beside.parts)
    if not installed or beside.exists():
        return beside
    import os

    from oslet.codec import digest
    from oslet.store import home

    return home(os.environ) / "locks" / f"{value.name}-{digest((value.wants, value.source.wanted))[:16]}.lock"


def _written(name: str, value: Any) -> Any:
    """A class attribute as the TOML spelling has it."""
    if name == "source" and isinstance(value, Oci):
        return {"oci": value.oci}
    if name == "source" and isinstance(value, Debian):
        plain = Debian()
        return {
            field: list(each) if isinstance(each, list | tuple) else each
            for field in Debian.__struct_fields__
            if (each := getattr(value, field)) != getattr(plain, field)
        }
    if name == "health":
        match value:
            case model.Http(path, port):
                return {"http": path, **({"port": port} if port else {})}
            case model.Tcp(port):
                return {"tcp": port}
            case model.Exec(command):
                return {"exec": command}
    if name == "machine":
        return structs.asdict(value)
    if name == "warm":
        return {key: each for key, each in structs.asdict(value).items() if each}
    if name == "checks":
        return [{key: each for key, each in structs.asdict(check).items() if each} for check in value]
    if name == "files" and isinstance(value, Mapping):
        return {path: _file(content) for path, content in value.items()}
    if name == "scripts" and isinstance(value, Mapping):
        return {
            package: structs.asdict(answer) if isinstance(answer, model.Rule) else answer
            for package, answer in value.items()
        }
    return value


def _file(content: Any) -> Any:
    match content:
        case model.Copy(path):
            return path
        case model.Template(path, _, mode):
            return {"template": path, "mode": f"{mode:04o}"}
        case model.SecretFile(name):
            return {"secret": name}
        case model.Text(text, mode):
            return {"text": text, "mode": f"{mode:04o}"}
    return str(content) if isinstance(content, FilePath) else content


def _params(cls: type[Oslet], keys: Sequence[str], faults: Faults) -> dict[str, Any]:
    """The annotated fields, the bases' first, as ``[params]`` has them; an assignment alone is a new default."""
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if not issubclass(owner, Oslet) or owner is Oslet:
            continue
        annotations = _annotations(owner)
        for name, written in annotations.items():
            annotation = _resolve(written, owner, name, faults)
            if get_origin(annotation) is ClassVar or annotation is ClassVar or annotation is None:
                continue
            if name in keys or name in _OWN or name.startswith("_"):
                faults.add(("params", name), f"{name!r} is oslet's own word", "give the param another name")
                continue
            spec = _type(annotation)
            if spec is None:
                hint = "annotate it as oslet.Str, Int, Port, Url, Secret, …"
                faults.add(("params", name), f"{written!r} is no param's type"[:200], hint)
                continue
            value = owner.__dict__.get(name, ...)
            given = value.spec if isinstance(value, _Hole) else {} if value is ... else {"default": value}
            found[name] = {**spec, **given}
        for name, value in owner.__dict__.items():
            if name in found and name not in annotations:
                given = value.spec if isinstance(value, _Hole) else {"default": value}
                found[name] = {**found[name], **given}
    return found


def _annotations(owner: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(owner, format=annotationlib.Format.FORWARDREF)
    found: dict[str, Any] = owner.__dict__.get("__annotations__", {})  # noqa: RUF063 - inspect costs 10 ms
    return found


def _resolve(written: Any, owner: type[Oslet], name: str, faults: Faults) -> Any:
    """An annotation that ``from __future__ import annotations`` has made a string, as what it says."""
    if not isinstance(written, str):
        return written
    names = {**vars(sys.modules[owner.__module__]), **owner._locals}
    try:
        return eval(written, names)
    except Exception as error:  # the author's own expression may raise anything
        faults.add(("params", name), f"the annotation {written!r} can't be read: {error}"[:300], "import its names")
        return None


def _type(annotation: Any) -> dict[str, Any] | None:
    """An annotation as the ``type`` (and what belongs to it) of a param; None of one that is no param's."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        word = next((each for each in inside[1:] if isinstance(each, str)), "")
        if word == "list":
            return _list_of(get_args(inside[0]))
        return {"type": word} if word else _type(inside[0])
    if origin is Literal and all(isinstance(each, str) for each in inside):
        return {"type": "enum", "choices": list(inside)}
    if origin is list:
        return _list_of(inside)
    return {"type": _PLAIN[annotation]} if isinstance(annotation, type) and annotation in _PLAIN else None


def _list_of(inside: tuple[Any, ...]) -> dict[str, Any] | None:
    if not inside or isinstance(inside[0], TypeVar):
        return {"type": "list"}
    item = _type(inside[0])
    if item is None:
        return None
    return {"type": "list", "of": item["type"] if len(item) == 1 else item}


def Exec(command: Sequence[str]) -> model.Exec:  # noqa: N802 - a word of the declaration
    """Healthy when ``command``, run inside the instance, exits 0."""
    return model.Exec(tuple(command))
