"""YAML text → plain values, each with its line. Scalars by YAML 1.2's core schema, as Compose reads them.

PyYAML's pure scanner and composer make the nodes: of the kept readers it is the one that reads all that Compose files
use (anchors, merges, flow style; strictyaml refuses them) and gives every node its line. Its constructors, which make
objects of tags and count ports such as 22:22 by sixties, are not used; nor its C half, whose recursion nobody bounds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from oslet.codec.conform import Faults
from oslet.codec.places import Key
from oslet.errors import DeclarationError

if TYPE_CHECKING:
    from yaml import MappingNode, Node, ScalarNode

MAX_TEXT = 256 << 10
MAX_VALUES = 20_000
MAX_DEPTH = 24
_PLAIN_TAGS = {f"tag:yaml.org,2002:{word}" for word in ("str", "seq", "map")}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]{1,18}(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}


class Marked(NamedTuple):
    """A text's value, and the line (from 1) of each of its keys and items."""

    value: Any
    lines: dict[Key, int]


def read_yaml(text: str, where: str) -> Marked:
    """What a YAML text says. DeclarationError at ``where`` and the line for what is no YAML, tags, keys said twice,
    and more values or depth than a person writes: what aliases repeat counts each time."""
    import yaml

    if len(text) > MAX_TEXT:
        raise DeclarationError(f"larger than {MAX_TEXT >> 10} KiB", where=where)
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        reading = _Reading()
        value = None if node is None else reading.value(node, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        what = str(error.problem or error.context or "can't be read")
        raise DeclarationError(f"not YAML: {what}", where=f"{where}:{line}") from None
    except yaml.YAMLError as error:
        raise DeclarationError(f"not YAML: {str(error).splitlines()[0][:200]}", where=where) from None
    except (RecursionError, OverflowError):
        raise DeclarationError("nested too deeply", where=where, hint="flatten it") from None
    except ValueError as error:  # an escape beyond Unicode
        raise DeclarationError(f"not YAML: {error}", where=where) from None
    reading.faults.raise_any(lambda key: (reading.lines.get(key, 0), f"{where}:{reading.lines.get(key, 1)}"))
    return Marked(value, reading.lines)


class _Reading:
    def __init__(self) -> None:
        self.lines: dict[Key, int] = {}
        self.faults = Faults()
        self.left = MAX_VALUES

    def value(self, node: Node, key: Key) -> Any:
        import yaml

        self.left -= 1
        if self.left < 0 or len(key) > MAX_DEPTH:
            raise RecursionError
        self.lines.setdefault(key, node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS:
            self.faults.add(key, f"the tag {node.tag[:60]!r} is not read", "write the value itself")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*key, i)) for i, each in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self.mapping(node, key)

    def mapping(self, node: MappingNode, key: Key) -> dict[str, Any]:
        """A mapping with what it merges (``<<``, YAML's merge key): its own keys go before merged ones."""
        import yaml

        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for name_node, each in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self.faults.add(key, "a key that is no text")
                continue
            name = str(name_node.value)
            if name == "<<" and name_node.style is None:
                sources = each.value if isinstance(each, yaml.SequenceNode) else [each]
                for source in sources:
                    found = self.value(source, key)
                    merged = {**found, **merged} if isinstance(found, dict) else merged
                continue
            self.lines[(*key, name)] = name_node.start_mark.line + 1
            if name in own:
                self.faults.add((*key, name), f"{name!r} stands there twice", "leave one out")
            own[name] = self.value(each, (*key, name))
        return {**merged, **own}


def _scalar(node: ScalarNode) -> Any:
    text = str(node.value)
    if node.style is not None:
        return text
    if text.lower() in _WORDS and (text in _WORDS or text in (text.title(), text.upper())):
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
