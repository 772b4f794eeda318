"""Template files: ``{{ name }}`` and, where a template has control flow, Jinja's language in its sandbox.

Jinja is loaded only for a template that needs it: importing it costs more than starting an instance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from oslet.codec.texts import PARAM_NAME, TextError, plain

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

MAX_TEMPLATE = 4 << 20
MAX_RENDERED = 16 << 20

_SIMPLE = re.compile(r"\{\{[ \t]*(" + PARAM_NAME + r")[ \t]*\}\}")
_MARK = re.compile(r"\{\{|\{%|\{#")


def is_simple(text: str) -> bool:
    """Whether a template holds nothing but ``{{ name }}``, and so needs no Jinja."""
    return all(match.group() == "{{" and _SIMPLE.match(text, match.start()) for match in _MARK.finditer(text))


def template_names(text: str) -> tuple[str, ...]:
    """The params a template uses, sorted. TextError if it can't be parsed or refers to other templates."""
    if is_simple(text):
        return tuple(sorted(set(_SIMPLE.findall(text))))
    from jinja2 import TemplateError, TemplateSyntaxError, meta

    sandbox = _sandbox()
    try:
        tree = sandbox.parse(text)
        if any(True for _ in meta.find_referenced_templates(tree)):
            raise TextError("a template can't include or extend another", "write the text in one file")
        used = meta.find_undeclared_variables(tree) - set(sandbox.globals)
        sandbox.from_string(text)  # unknown filters and tests show only when it is compiled
    except TemplateSyntaxError as error:
        raise TextError(
            f"line {error.lineno}: {error.message}", "{% raw %} … {% endraw %} keeps what is between them as it is"
        ) from None
    except TemplateError as error:
        raise TextError(str(error.message), "see Jinja's template language") from None
    except (RecursionError, MemoryError):
        raise TextError("the template is nested too deeply", "flatten it") from None
    return tuple(sorted(used))


def render_template(text: str, values: Mapping[str, Any], separators: Mapping[str, str] | None = None) -> str:
    """The template filled with canonical values (secrets revealed by the caller).

    TextError when it asks for something no value has, or would grow past 16 MiB.
    """
    apart = separators or {}
    if is_simple(text):
        try:
            return _SIMPLE.sub(lambda match: plain(values[match[1]], apart.get(match[1], ",")), text)
        except KeyError as error:
            raise TextError(f"{error.args[0]!r} has no value") from None
    from jinja2 import TemplateError

    shown = {name: _Shown(v, apart.get(name, ",")) if isinstance(v, list | tuple) else v for name, v in values.items()}
    pieces: list[str] = []
    size = 0
    try:
        for piece in _sandbox().from_string(text).generate(shown):
            size += len(piece)
            if size > MAX_RENDERED:
                raise TextError(f"renders to more than {MAX_RENDERED >> 20} MiB")
            pieces.append(piece)
    except TextError:
        raise
    except TemplateError as error:
        raise TextError(error.message or "can't be rendered") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise TextError(f"can't be rendered ({type(error).__name__})") from None
    return "".join(pieces)


def fill_template(text: str, values: Mapping[str, Any], separators: Mapping[str, str] | None = None) -> str:
    """The template with only the names in ``values`` settled: still a template, for the other params."""
    apart = separators or {}
    used = [name for name in template_names(text) if name in values]
    if not used:
        return text
    if is_simple(text):
        inserted = [plain(values[name], apart.get(name, ",")) for name in used]
        if not any(_MARK.search(each) or "{" in each for each in inserted):
            return _SIMPLE.sub(
                lambda match: plain(values[match[1]], apart.get(match[1], ",")) if match[1] in values else match[0],
                text,
            )
    return "".join(f"{{% set {name} = {_literal(values[name])} %}}" for name in used) + text


class _Shown(list[Any]):
    """A list that prints as its items joined, so that ``{{ hosts }}`` reads as ``{hosts}`` does elsewhere."""

    def __init__(self, items: Any, separator: str) -> None:
        super().__init__(items)
        self.separator = separator


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(each) for each in value) + "]"
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in str(value)) + '"'


def _finalize(value: Any) -> Any:
    if isinstance(value, _Shown):
        return plain(value, value.separator)
    return plain(value) if isinstance(value, bool | float | list | tuple) else value


@lru_cache(maxsize=1)
def _sandbox() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Bounded(ImmutableSandboxedEnvironment):
        """Refuses the two operators and the methods by which a short template makes a huge value."""

        intercepted_binops = frozenset({"*", "**", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            numbers = isinstance(left, int | float) and isinstance(right, int | float)
            if operator == "**" or not numbers:
                raise TextError(
                    f"{operator!r} works on numbers only here" if operator != "**" else "'**' isn't allowed"
                )
            return super().call_binop(context, operator, left, right)

        def wrap_str_format(self, value: Any) -> Any:
            return None  # else Jinja would hand out str.format before it asks whether the attribute is safe

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            wide = {"format", "format_map", "ljust", "rjust", "center", "zfill", "expandtabs"}
            return attr not in wide and super().is_safe_attribute(obj, attr, value)

    sandbox = Bounded(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, finalize=_finalize)
    for name in ("format", "center", "indent", "random", "urlize"):  # widths without bound, or chance
        sandbox.filters.pop(name, None)
    for name in ("lipsum", "cycler", "joiner", "dict"):
        sandbox.globals.pop(name, None)
    return sandbox
