"""How a verb that reads its own words is used, for people."""

from __future__ import annotations

from collections.abc import Sequence

from oslet.model.param import Param, SecretKind
from oslet.run.words import Option


def help_lines(own: Sequence[Option], params: Sequence[Param] = ()) -> list[str]:
    """The options, and the image's params with their types and defaults, for people."""
    rows = [(f"{f'-{o.short}, ' if o.short else '    '}--{o.name} {o.value}".rstrip(), o.help) for o in own]
    given = [(f"    --{p.name.replace('_', '-')} {_type(p)}", _about(p)) for p in params if p.at == "start"]
    width = min(34, max((len(left) for left, _ in (*rows, *given)), default=0))
    lines = [f"  {left:<{width}}  {right}" for left, right in rows]
    if given:
        lines = ["Params of the image:", *(f"  {left:<{width}}  {right}" for left, right in given), "", *lines]
    return lines


def usage(line: str, about: str, own: Sequence[Option], params: Sequence[Param] = (), *, asked: bool) -> int:
    """Tell how a verb is used: all of it on stdout where it is ``asked`` for, else its first line on stderr; the exit
    code."""
    if asked:
        print("\n".join([line, "", *((about, "") if about else ()), *help_lines(own, params)]))
        return 0
    import sys

    verb = " ".join(line.split()[1:3])
    print(f"{line}\nTry '{verb} --help' for help.", file=sys.stderr)
    return 2


def _type(param: Param) -> str:
    kind = param.kind
    word = type(kind).__struct_config__.tag
    if isinstance(kind, SecretKind):
        return "@FILE"
    return "|".join(kind.choices) if hasattr(kind, "choices") else str(word).upper()


def _about(param: Param) -> str:
    from oslet.codec.kinds import show

    none = isinstance(param.kind, SecretKind)
    default = (
        "required" if param.required else "default: none" if none else f"default: {show(param.kind, param.default)}"
    )
    return f"{param.help} ({default})" if param.help else f"({default})"
