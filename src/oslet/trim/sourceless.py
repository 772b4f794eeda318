"""Tree → Tree: byte code in place of its sources, where the declaration says ``python.sources = false``. Pure.

Python imports ``os.pyc`` where there is no ``os.py`` (importlib's SourcelessFileLoader). Comes after the cut, which
reads sources to know what they import.
"""

from __future__ import annotations

from posixpath import dirname, join, normpath

from msgspec.structs import replace

from oslet.model.oslet import Policy
from oslet.model.tree import Entry, Tree
from oslet.trim.cut import BYTE_CODE
from oslet.trim.rules import features, globs

FEATURE = "python.sources"
_FOLDER = "/__pycache__"


def sourceless(tree: Tree, policy: Policy) -> Tree:
    """``tree`` with each module's byte code where its source stood. Programs, what links lead to, what has no byte
    code, what ``keep`` names and the declaration's own files stay as they are."""
    if dict(policy.features).get(FEATURE) is not False:
        return tree
    paths, keep = features()[FEATURE].paths, globs(policy.keep)
    led = {normpath(join(dirname(e.path), e.target)) for e in tree.entries if e.kind == "link"}
    codes = {_source(e): e for e in tree.entries if e.origin == BYTE_CODE and _FOLDER in e.path}
    gone = {
        e.path: e
        for e in tree.entries
        if e.path in codes and e.kind == "file" and not e.program and e.path not in led
        if e.origin != "files" and paths.fullmatch(e.path) and not keep.fullmatch(e.path)
    }
    moved = {codes[path].path for path in gone}
    kept = [_instead(codes[e.path], e) if e.path in gone else e for e in tree.entries if e.path not in moved]
    kept = [replace(e, by=f"{e.by}c") if e.by in gone else e for e in kept]
    said = f"feature {FEATURE}: the declaration says false; its byte code stands in its place"
    dropped = [*tree.dropped, *(replace(e, reason=said, by="") for e in gone.values())]
    return Tree(tuple(sorted(kept, key=lambda e: e.path)), tuple(sorted(dropped, key=lambda e: e.path)))


def _source(code: Entry) -> str:
    """The path of the source that ``code`` was compiled from (PEP 3147)."""
    folder, _, name = code.path.rpartition("/")
    return f"{folder.removesuffix(_FOLDER)}/{name.partition('.')[0]}.py"


def _instead(code: Entry, source: Entry) -> Entry:
    """The byte code at the place that Python looks in without a source, with what keeps the source."""
    reason = f"byte code in place of a source; {source.reason}"
    return replace(code, path=f"{source.path}c", reason=reason, by=source.by)
