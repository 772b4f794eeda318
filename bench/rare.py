"""What an application does once in a while, and no test drive of it: ``python3 rare.py`` prints a JSON line
{name, ok} for each. Lies in /app of the images that bench/traced.py asks; each is asked in a process of its own.
"""

# mypy: ignore-errors

import importlib.util
import json
import os
import signal
import subprocess
import sys

PATIENCE = 30


def user_by_number():
    import pwd

    return pwd.getpwuid(65534).pw_name == "nobody"


def group_by_name():
    import grp

    return grp.getgrnam("root").gr_gid == 0


def service_by_name():
    import socket

    return socket.getservbyname("https") == 443


def name_with_umlauts():
    return "bücher.example".encode("idna") == b"xn--bcher-kva.example"


def text_of_eastern_europe():
    return "žluť".encode("cp1250").decode("cp1250") == "žluť"


def text_of_japan():
    return "日本".encode("shift_jis").decode("shift_jis") == "日本"


def time_zone():
    import datetime
    import zoneinfo

    noon = datetime.datetime(2025, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"))
    return noon.utcoffset() == datetime.timedelta(hours=2)


def locale_of_the_system():
    import locale

    return locale.setlocale(locale.LC_ALL, "C.UTF-8") == "C.UTF-8"


def database():
    import sqlite3

    return sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)


def foreign_function():
    import ctypes

    libm = ctypes.CDLL("libm.so.6")
    libm.cos.restype, libm.cos.argtypes = ctypes.c_double, [ctypes.c_double]
    return libm.cos(0.0) == 1.0


def tls():
    import ssl

    return "TLS_AES_256_GCM_SHA384" in {c["name"] for c in ssl.create_default_context().get_ciphers()}


def compression():
    import bz2
    import lzma

    return all(m.decompress(m.compress(b"x" * 999)) == b"x" * 999 for m in (bz2, lzma))


def archive():
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", "b")
    return made.namelist() == ["a"]


def xml():
    import xml.etree.ElementTree as Tree

    return Tree.fromstring("<a><b/></a>").find("b") is not None


def table():
    import csv
    import io

    return list(csv.reader(io.StringIO('a,"b,c"'))) == [["a", "b,c"]]


def money():
    import decimal
    import fractions

    return decimal.Decimal("0.1") * 3 == decimal.Decimal("0.3") and fractions.Fraction(1, 3) * 3 == 1


def kind_of_a_file():
    import mimetypes

    return mimetypes.guess_type("a.odt")[0] == "application/vnd.oasis.opendocument.text"


def letter():
    import email.message
    import smtplib

    mail = email.message.EmailMessage()
    mail["Subject"] = "größer"
    mail.set_content("žluť")
    return b"=?utf-8?" in mail.as_bytes() and smtplib.SMTP_PORT == 25


def other_process():
    done = subprocess.run([sys.executable, "-c", "import argparse; print(42)"], capture_output=True)
    return done.stdout == b"42\n"


def worker_processes():
    import concurrent.futures
    import multiprocessing

    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(abs, -42).result(PATIENCE) == 42


def crash_report():
    import faulthandler
    import traceback

    faulthandler.enable()
    try:
        raise ValueError("x")
    except ValueError:
        return "ValueError: x" in traceback.format_exc()


def name_of_a_letter():
    import unicodedata

    return unicodedata.lookup("GREEK SMALL LETTER ALPHA") == "α"


def version_of_a_distribution():
    from importlib.metadata import distributions

    return all(each.version and each.files for each in distributions())


def fastapi_files_and_pages():
    from fastapi.openapi.docs import get_swagger_ui_html
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.staticfiles import StaticFiles

    said = get_swagger_ui_html(openapi_url="/openapi.json", title="x").body
    return b"swagger" in said and bool(GZipMiddleware) and StaticFiles(directory="/app").lookup_path("rare.py")[1]


def uvicorn_options():
    done = subprocess.run([sys.executable, "-m", "uvicorn", "--help"], capture_output=True)
    return b"--workers" in done.stdout


def flask_templates():
    from flask import Flask, render_template_string

    with Flask("x").test_request_context():
        return render_template_string("{{ 42 | filesizeformat }}") == "42 Bytes"


def flask_debugger():
    from werkzeug.debug import DebuggedApplication

    return bool(DebuggedApplication(lambda environment, start: [], evalex=True))


def gunicorn_threads():
    from gunicorn.workers.gthread import ThreadWorker

    return bool(ThreadWorker)


def _fine(function):
    """Whether a process of its own answers True in time."""
    if not (child := os.fork()):
        signal.alarm(PATIENCE)
        try:
            fine = bool(function())
        except BaseException:
            fine = False
        os._exit(not fine)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    for name, function in list(globals().items()):
        package = name.partition("_")[0]
        if name.startswith("_") or getattr(function, "__module__", "") != "__main__":
            continue
        if package in ("fastapi", "uvicorn", "flask", "gunicorn") and importlib.util.find_spec(package) is None:
            continue
        print(json.dumps({"name": name, "ok": _fine(function)}), flush=True)
