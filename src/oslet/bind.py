"""Params × given values → Arguments, or located errors; and texts filled with arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from oslet.codec import texts
from oslet.codec.kinds import KindError, parse
from oslet.codec.nearest import suggestion
from oslet.codec.templates import fill_template, render_template
from oslet.codec.texts import TextError
from oslet.errors import DeclarationError, Fault, RunError
from oslet.model.instance import Arguments, Secret
from oslet.model.oslet import (
    Check,
    Content,
    Copy,
    Exec,
    File,
    Health,
    Http,
    Oslet,
    SecretFile,
    Start,
    Tcp,
    Template,
    Text,
    Wants,
)
from oslet.model.param import ListKind, Param, SecretKind


def bind(params: Sequence[Param], given: Mapping[str, object], *, where: str = "") -> Arguments:
    """Every param with its given value (written as text or natively) or its default, in canonical form.

    DeclarationError with every fault at once: missing, unknown, wrong. ``where`` is put before each param's name.
    """
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    separators: dict[str, str] = {}
    for param in params:
        place = f"{where}{param.name}"
        if isinstance(param.kind, ListKind) and param.kind.separator != ",":
            separators[param.name] = param.kind.separator
        optional = isinstance(param.kind, SecretKind) and not param.required
        if param.name not in given or (optional and given[param.name] in ("", Secret(""))):
            if param.required:
                faults.append(
                    Fault("needs a value" + (f": {param.help}" if param.help else ""), place, _example(param))
                )
            else:
                values[param.name] = Secret("") if optional else param.default
            continue
        try:
            values[param.name] = parse(param.kind, given[param.name])
        except KindError as error:
            faults.append(Fault(error.what, place, error.hint))
    names = [param.name for param in params]
    for name in given:
        if name not in names:
            faults.append(Fault("no such param", f"{where}{name}", suggestion(name, names, kind="params")))
    if faults:
        raise DeclarationError.of(faults)
    return Arguments(values, separators)


def _example(param: Param) -> str:
    from oslet.codec.shape import VALUES

    word = str(param.kind.__struct_config__.tag)
    return "give " + ("a secret" if word == "secret" else VALUES[word][1])


def interpolate(text: str, arguments: Arguments, *, reveal: bool = False) -> str:
    """The text with every ``{name}`` filled. RunError for a name without a value, or a secret, which would show unless
    the text is for the instance's own tmpfs (``reveal``)."""
    try:
        return texts.fill(text, _Plain(arguments, reveal))
    except KeyError as error:
        raise RunError(f"{error.args[0]!r} has no value", where=text[:80]) from None
    except TextError as error:
        raise RunError(error.what, where=text[:80], hint=error.hint) from None


def render(template: Template, arguments: Arguments) -> str:
    """A template's text filled with all arguments, secrets revealed: for the instance's own tmpfs and nowhere else."""
    revealed = {name: v.reveal() if isinstance(v, Secret) else v for name, v in arguments.values.items()}
    try:
        return render_template(template.text, revealed, arguments.separators)
    except TextError as error:
        raise RunError(error.what, where=template.path, hint="see the template") from None


def is_rendered(content: Content) -> bool:
    """Whether a file exists only in instances: templates, secrets, and texts that hold params."""
    return isinstance(content, Template | SecretFile) or (isinstance(content, Text) and bool(texts.names(content.text)))


def contents(content: Content, arguments: Arguments) -> str:
    """The whole text of a file that is no copy."""
    match content:
        case Template():
            return render(content, arguments)
        case SecretFile():
            value = arguments.values[content.param]
            return value.reveal() if isinstance(value, Secret) else texts.plain(value)
        case Text():
            return interpolate(content.text, arguments, reveal=True)
        case Copy():
            raise TypeError("a copy has no text")


def mode_of(content: Content, params: Sequence[Param]) -> int:
    """A rendered file's permission bits: 0400 for a secret's file and for a template or text that holds one."""
    if isinstance(content, SecretFile):
        return 0o400
    if isinstance(content, Copy):
        return 0o644
    from oslet.codec.templates import template_names

    used = template_names(content.text) if isinstance(content, Template) else texts.names(content.text)
    secrets = {param.name for param in params if isinstance(param.kind, SecretKind)}
    return content.mode if secrets.isdisjoint(used) else 0o400


def start_with(start: Start, arguments: Arguments) -> Start:
    """The start contract with every text filled: nothing in it holds ``{name}`` any more."""
    return _start(start, lambda text: interpolate(text, arguments))


def url_with(start: Start, arguments: Arguments, host: str, ports: Mapping[int, int] = {}) -> str:
    """What a client at some place connects with: ``host`` is the instance's there, ``ports`` leads from each of its
    own ports to what that one is called there. Empty where the declaration says no ``url``."""
    values = {}
    for name, value in arguments.values.items():
        if isinstance(value, Secret):
            values[name] = texts.quoted(value.reveal())
        else:
            values[name] = texts.quoted(texts.plain(value), ":/")
            if isinstance(value, int) and value in ports:
                values[name] = str(ports[value])
    return texts.fill(start.url, {**values, "host": f"[{host}]" if ":" in host else host})


def check_with(check: Check, arguments: Arguments) -> Check:
    """A check with every text filled."""
    return _check(check, lambda text: interpolate(text, arguments))


def at_build(oslet: Oslet, given: Mapping[str, object], *, where: str = "") -> Oslet:
    """The declaration with its build-time params filled in everywhere and gone from ``params``.

    The rest is still to be bound at start. DeclarationError as ``bind``; a param of the start is refused by name.
    """
    built = [param for param in oslet.params if param.at == "build"]
    later = {param.name for param in oslet.params if param.at == "start"}
    early = [name for name in given if name in later]
    if early:
        hint = "leave it out here: changing it rebuilds nothing"
        raise DeclarationError.of([Fault("is filled when an instance starts", f"{where}{n}", hint) for n in early])
    if not built and not given:
        return oslet
    arguments = bind(built, given, where=where)
    plain = {name: texts.plain(v, arguments.separators.get(name, ",")) for name, v in arguments.values.items()}

    def some(text: str) -> str:
        return texts.fill_some(text, plain)

    def content(each: Content) -> Content:
        if isinstance(each, Template):
            text = fill_template(each.text, arguments.values, arguments.separators)
            return structs.replace(each, text=text)
        return structs.replace(each, text=some(each.text)) if isinstance(each, Text) else each

    wants = oslet.wants
    return structs.replace(
        oslet,
        wants=Wants(
            tuple(texts.fill(each, plain) for each in wants.packages),
            tuple(texts.fill(each, plain) for each in wants.wheels),
            wants.recommends,
        ),
        files=tuple(File(file.path, content(file.content)) for file in oslet.files),
        params=tuple(param for param in oslet.params if param.at == "start"),
        start=_start(oslet.start, some),
        checks=tuple(_check(check, some) for check in oslet.checks),
    )


class _Plain(Mapping[str, str]):
    """Arguments as texts, computed for the names that are asked for; secrets are among them if they may be revealed."""

    def __init__(self, arguments: Arguments, reveal: bool) -> None:
        self.arguments = arguments
        self.reveal = reveal

    def __getitem__(self, name: str) -> str:
        value = self.arguments.values[name]
        if isinstance(value, Secret):
            if self.reveal:
                return value.reveal()
            raise TextError(f"the secret {name!r} would show here", "use a file or a template")
        return texts.plain(value, self.arguments.separators.get(name, ","))

    def __iter__(self) -> Any:
        return iter(self.arguments.values)

    def __len__(self) -> int:
        return len(self.arguments.values)


def _check(check: Check, filled: Any) -> Check:
    return structs.replace(
        check, run=tuple(map(filled, check.run)), exec=tuple(map(filled, check.exec)), http=filled(check.http)
    )


def _start(start: Start, filled: Any) -> Start:
    return structs.replace(
        start,
        command=tuple(filled(word) for word in start.command),
        env=tuple((name, filled(value)) for name, value in start.env),
        workdir=filled(start.workdir),
        ports=tuple(filled(port) for port in start.ports),
        volumes=tuple(filled(path) for path in start.volumes),
        health=_health(start.health, filled),
        warm=structs.replace(start.warm, prepare=tuple(filled(word) for word in start.warm.prepare)),
    )


def _health(health: Health | None, filled: Any) -> Health | None:
    match health:
        case Http(path, port):
            return Http(filled(path), filled(port))
        case Tcp(port):
            return Tcp(filled(port))
        case Exec(command):
            return Exec(tuple(filled(word) for word in command))
    return None
