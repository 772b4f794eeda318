"""A tree as one self-contained HTML page: a treemap of its bytes, each path with its chain of reasons.

The page is page.html with its style, its script and the data put in. It may load nothing and run nothing but that
script, whose digest its Content-Security-Policy names: a path that were to break out of the data would find no ear.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Any

from oslet.cli.treemap.data import embedded
from oslet.model.lock import Lock
from oslet.model.tree import Tree

__all__ = ["page"]

SCRIPTS = ("model.js", "layout.js", "panel.js", "search.js", "page.js")
"""In the order in which they need one another."""


def page(name: str, tree: Tree, lock: Lock) -> str:
    """The whole page, for the image called ``name``."""
    style = _part("page.css")
    script = '"use strict";\n' + "\n".join(_part(file) for file in SCRIPTS)
    policy = f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; base-uri 'none'"
    filled = {
        "policy": f"{policy}; form-action 'none'",
        "title": html.escape(f"{name}: what its bytes are spent on"),
        "style": style,
        "data": _inert(embedded(name, tree, lock)),
        "script": script,
    }
    before, *parts = _part("page.html").split("{{")
    return before + "".join(filled[key] + rest for key, _, rest in (part.partition("}}") for part in parts))


def _inert(value: Any) -> str:
    """JSON in ASCII that holds no ``<``, ``>`` or ``&``: nothing in it can end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    """A source of a Content-Security-Policy: this text and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _part(file: str) -> str:
    return (Path(__file__).parent / file).read_text("utf-8")
