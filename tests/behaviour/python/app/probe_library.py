"""What Python's own library does with libraries and data of the system."""

import ctypes
import ctypes.util
import hashlib
import os
import subprocess
import sys


def _says(*words, stdin=""):
    env = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, *words], input=stdin, capture_output=True, text=True, env=env, cwd="/tmp")
    return [done.stdout, done.stderr, done.returncode]


def _imports(*names):
    """What stands in the way of each module, all asked in one other process."""
    script = (
        "import importlib, json, sys\nfound = {}\nfor name in sys.argv[1:]:\n    try: importlib.import_module(name)\n"
    )
    script += "    except Exception as error: found[name] = repr(error)\nprint(json.dumps(found))"
    return _says("-W", "ignore", "-c", script, *names)[0]


def sqlite():
    import sqlite3

    with sqlite3.connect("/tmp/x.db") as base:
        base.execute("create virtual table t using fts5(x)")
        base.execute("insert into t values ('hello world')")
        found = base.execute("select x from t where t match 'world'").fetchall()
        options = sorted(row[0] for row in base.execute("pragma compile_options"))
        said = base.execute(
            "select json_extract('{\"a\": 42}', '$.a'), sqrt(49), strftime('%Y', 0, 'unixepoch')"
        ).fetchone()
    return [found, said, options, sqlite3.sqlite_version]


def library_by_name():
    return {
        n: ctypes.util.find_library(n) for n in ("c", "m", "z", "ssl", "crypto", "sqlite3", "expat", "ffi", "nothing")
    }


def library_opened():
    libc, libm = ctypes.CDLL(None), ctypes.CDLL("libm.so.6")
    libm.cos.restype, libm.cos.argtypes = ctypes.c_double, [ctypes.c_double]
    order = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    libc.qsort(numbers, 3, 4, order(lambda a, b: a[0] - b[0]))
    return [libc.strlen(b"hello"), libm.cos(0.0), list(numbers)]


def conversions_of_the_c_library():
    libc = ctypes.CDLL(None)
    libc.iconv_open.restype = ctypes.c_void_p
    names = (
        b"UTF-8",
        b"ISO-8859-1",
        b"ISO-8859-2",
        b"CP1250",
        b"KOI8-R",
        b"SHIFT_JIS",
        b"GB18030",
        b"EUC-KR",
        b"UTF-16",
        b"NONE",
    )
    return {n.decode(): libc.iconv_open(n, b"UTF-8") not in (None, 2**64 - 1) for n in names}


def compression():
    import bz2
    import gzip
    import lzma
    import zlib

    text = b"hello " * 1000
    made = {m.__name__: m.compress(text) for m in (bz2, lzma, zlib)} | {"gzip": gzip.compress(text, mtime=0)}
    back = [
        bz2.decompress(made["bz2"]),
        lzma.decompress(made["lzma"]),
        zlib.decompress(made["zlib"]),
        gzip.decompress(made["gzip"]),
    ]
    return [
        {n: len(b) for n, b in made.items()},
        all(b == text for b in back),
        zlib.crc32(text),
        zlib.ZLIB_RUNTIME_VERSION,
    ]


def archives():
    import shutil
    import tarfile
    import zipfile

    os.makedirs("/tmp/pack", exist_ok=True)
    with open("/tmp/pack/a", "w") as stream:
        stream.write("x")
    said = {}
    for kind in ("zip", "tar", "gztar", "bztar", "xztar"):
        made = shutil.make_archive(f"/tmp/packed-{kind}", kind, "/tmp/pack")
        said[kind] = zipfile.ZipFile(made).namelist() if kind == "zip" else tarfile.open(made).getnames()
    return said


def hashes():
    said = {}
    for name in sorted(hashlib.algorithms_available):
        made = hashlib.new(name, b"x")
        said[name] = made.hexdigest(8) if name.startswith("shake") else made.hexdigest()
    return said


def hashes_of_old():
    said = {}
    for name in ("md4", "whirlpool", "ripemd160", "mdc2", "sm3"):
        try:
            said[name] = hashlib.new(name, b"x").hexdigest()
        except ValueError as error:
            said[name] = str(error)
    return said


def keys_from_passwords():
    import hmac
    import secrets

    made = hashlib.scrypt(b"p", salt=b"s", n=16, r=1, p=1).hex(), hashlib.pbkdf2_hmac("sha256", b"p", b"s", 9).hex()
    return [*made, hmac.digest(b"k", b"x", "sha512").hex(), len(secrets.token_hex(8)), len(os.getrandom(4))]


def identifiers():
    import uuid

    return [
        uuid.uuid1().version,
        uuid.uuid4().version,
        str(uuid.uuid5(uuid.NAMESPACE_DNS, "a")),
        uuid.uuid1().is_safe.name,
    ]


def curses_terminals():
    import curses

    said = {}
    for name in ("xterm", "xterm-256color", "linux", "dumb", "no-such-terminal"):
        script = (
            f"import curses; curses.setupterm({name!r}, 1); print(curses.tigetnum('colors'), curses.tigetstr('clear'))"
        )
        done = _says("-c", script)
        said[name] = [done[0], done[1].splitlines()[-1:]]
    return [said, curses.version.decode()]


def line_editing():
    import readline
    import rlcompleter

    readline.add_history("a")
    readline.parse_and_bind("tab: complete")
    said = [readline.get_current_history_length(), readline.get_history_item(1), readline.get_completer_delims()]
    return [*said, rlcompleter.Completer({"abc": 1}).complete("ab", 0)]


def databases_by_key():
    import dbm
    import importlib
    import shelve

    said = {}
    for name in ("dbm.sqlite3", "dbm.gnu", "dbm.ndbm", "dbm.dumb"):
        try:
            with importlib.import_module(name).open(f"/tmp/{name}", "c") as base:
                base[b"a"] = b"1"
                said[name] = base[b"a"].decode()
        except ImportError as error:
            said[name] = str(error)
    with shelve.open("/tmp/shelf") as shelf:
        shelf["a"] = [1]
    return [said, dbm.whichdb("/tmp/shelf")]


def modules_that_are_absent():
    return _imports(
        "tkinter",
        "idlelib",
        "ensurepip",
        "venv",
        "distutils",
        "lib2to3",
        "pip",
        "crypt",
        "nis",
        "test.support",
    )


def modules_of_c():
    names = "_asyncio _bz2 _ctypes _curses _decimal _elementtree _hashlib _heapq _json _lzma _multiprocessing _posixshmem _queue"
    names += (
        " _sqlite3 _ssl _uuid _zoneinfo audioop fcntl mmap pyexpat readline syslog termios unicodedata zlib xxlimited"
    )
    return _imports(*names.split())


def numbers():
    import decimal
    import fractions
    import math
    import random
    import statistics

    decimal.getcontext().prec = 50
    random.seed(1)
    return [
        str(decimal.Decimal(2).sqrt()),
        str(fractions.Fraction(0.1)),
        math.lgamma(9.5),
        random.random(),
        statistics.NormalDist().cdf(1),
        decimal.HAVE_THREADS,
    ]


def pickles():
    import copyreg
    import pickle
    import pickletools

    made = [pickle.dumps({"a": (1, b"x")}, n) for n in range(6)]
    return [[pickle.loads(m) for m in made], len(pickletools.optimize(made[4])), copyreg.__newobj__.__name__]


def traceback_with_sources():
    script = "import json, faulthandler; faulthandler.enable()\njson.loads('[')"
    return [
        _says("-c", script)[1].splitlines()[1:],
        "def loads" in __import__("inspect").getsource(__import__("json").loads),
    ]


def dump_of_fault():
    return _says("-X", "faulthandler", "-c", "import faulthandler; faulthandler.dump_traceback()")[1].splitlines()[-1:]


def warning_words():
    return _says("-W", "always", "-c", "import warnings; warnings.warn('old', DeprecationWarning)")[1].splitlines()


def doctests():
    with open("/tmp/d.txt", "w") as stream:
        stream.write(">>> 6 * 7\n42\n")
    return _says("-m", "doctest", "/tmp/d.txt")


def unit_tests():
    with open("/tmp/u_test.py", "w") as stream:
        stream.write(
            "import unittest\nfrom unittest import mock\nclass T(unittest.IsolatedAsyncioTestCase):\n    async def test(self): mock.AsyncMock()\n"
        )
    return [_says("-m", "unittest", "u_test")[1].splitlines()[0], _says("-m", "unittest", "u_test")[2]]


def debugger():
    with open("/tmp/p.py", "w") as stream:
        stream.write("x = 42\n")
    return _says("-m", "pdb", "-c", "next", "-c", "p x * 2", "-c", "quit", "/tmp/p.py")


def profiler():
    return [
        _says("-m", "cProfile", "-s", "name", "-c", "pass")[2],
        _says("-m", "timeit", "-n1", "-r1", "pass")[0].split(":")[0],
    ]


def documentation():
    import pydoc

    return [
        pydoc.plain(pydoc.render_doc("json.loads")).splitlines()[0],
        _says("-m", "pydoc", "bisect")[0].splitlines()[:3],
    ]


def compiler():
    import ast
    import dis
    import io
    import symtable
    import tokenize

    os.makedirs("/tmp/c", exist_ok=True)
    with open("/tmp/c/m.py", "w") as stream:
        stream.write("x = 1\n")
    stream = io.StringIO()
    dis.dis("x + 1", file=stream)
    tokens = len(list(tokenize.generate_tokens(io.StringIO("a = 1").readline)))
    return [
        _says("-m", "compileall", "-q", "/tmp/c")[2],
        ast.unparse(ast.parse("a=1")),
        len(stream.getvalue()) > 50,
        tokens,
        symtable.symtable("x", "", "exec").get_type(),
    ]


def commands_of_modules():
    said = {n: _says("-m", n, "-h")[2] for n in ("http.server", "zipfile", "ast", "site", "trace")}
    return [
        said,
        _says("-m", "json.tool", stdin="[1]"),
        _says("-m", "calendar", "2026", "2")[0],
        _says("-m", "base64", "-e", stdin="x")[0],
    ]


def interactive():
    return _says("-i", "-q", stdin="import datetime\nprint(datetime.date(2026, 2, 1))\n6 * 7\n")


def programs_in_zips():
    import zipapp

    os.makedirs("/tmp/z", exist_ok=True)
    with open("/tmp/z/__main__.py", "w") as stream:
        stream.write("import zipimport, importlib.resources as r; print(__spec__.loader.archive)")
    zipapp.create_archive("/tmp/z", "/tmp/z.pyz", compressed=True)
    return _says("/tmp/z.pyz")


def logs():
    import logging.config
    import logging.handlers

    handler = logging.handlers.RotatingFileHandler("/tmp/log", maxBytes=50, backupCount=1)
    logging.config.dictConfig({"version": 1, "formatters": {"f": {"format": "%(levelname)s %(message)s"}}})
    log = logging.getLogger("a")
    log.addHandler(handler)
    for _ in range(5):
        log.warning("0123456789012345")
    try:
        logging.handlers.SysLogHandler("/dev/log")
        there = True
    except OSError as error:
        there = error.errno
    return [os.path.exists("/tmp/log.1"), there]


def words_of_errors():
    return [os.strerror(n) for n in (2, 13, 28, 110)] + [ctypes.string_at(ctypes.CDLL(None).gai_strerror) is not None]


def commands_told():
    import argparse
    import cmd
    import optparse
    import shlex

    parser = argparse.ArgumentParser("a", description="b")
    parser.add_argument("-n", type=int, default=1, help="%(default)s")
    return [
        parser.format_help(),
        parser.parse_args(["-n5"]).n,
        shlex.split("a 'b c'"),
        optparse.OptionParser("x").get_usage(),
        cmd.Cmd.prompt,
    ]


def contexts():
    import contextvars
    import dataclasses
    import enum
    import graphlib
    import typing

    @dataclasses.dataclass(slots=True)
    class Point:
        x: int = 1

    order = list(graphlib.TopologicalSorter({"a": {"b"}}).static_order())
    return [
        repr(Point()),
        order,
        enum.Enum("E", "A").A.value,
        typing.get_type_hints(Point),
        contextvars.ContextVar("v", default=3).get(),
    ]
