"""What the wheels do, and what Python knows of them."""

import importlib
import importlib.metadata
import importlib.resources
import os


def versions():
    known = {
        d.metadata["Name"]: [d.version, bool(d.files), d.metadata.get("Requires-Python")]
        for d in importlib.metadata.distributions()
    }
    return dict(sorted(known.items()))


def files_of_wheels():
    missing = []
    for distribution in importlib.metadata.distributions():
        missing += [
            str(f) for f in distribution.files or () if not f.locate().exists() and not str(f).startswith("../")
        ]
    return sorted(missing)


def entry_points():
    return sorted([e.group, e.name, e.value] for e in importlib.metadata.entry_points())


def entry_points_loaded():
    found = importlib.metadata.entry_points(group="babel.extractors")
    return sorted([e.name, e.load().__name__] for e in found)


def packages_of_modules():
    return {
        n: v
        for n, v in sorted(importlib.metadata.packages_distributions().items())
        if n in ("yaml", "jinja2", "requests", "certifi", "babel")
    }


def resources():
    said = {}
    for package, name in (
        ("certifi", "cacert.pem"),
        ("babel", "global.dat"),
        ("requests", "certs.py"),
        ("idna", "py.typed"),
        ("jinja2", "py.typed"),
    ):
        file = importlib.resources.files(package) / name
        said[f"{package}/{name}"] = file.stat().st_size if file.is_file() else None
    return said


def modules_by_walk():
    import pkgutil

    said = {}
    for name in ("jinja2", "requests", "starlette", "httpx", "yaml", "cryptography.hazmat"):
        package = importlib.import_module(name)
        said[name] = [m.name for m in pkgutil.walk_packages(package.__path__, f"{name}.")]
    return said


def templates():
    import jinja2
    import jinja2.sandbox

    os.makedirs("/tmp/templates", exist_ok=True)
    with open("/tmp/templates/a.html", "w") as stream:
        stream.write(
            "{% extends 'base' %}{% block b %}{{ [3, 1]|sort|tojson }}{{ '<'|e }}{{ x|default('d') }}{% endblock %}"
        )
    loaders = [jinja2.FileSystemLoader("/tmp/templates"), jinja2.DictLoader({"base": "<{% block b %}{% endblock %}>"})]
    environment = jinja2.sandbox.SandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders), extensions=["jinja2.ext.do", "jinja2.ext.i18n"]
    )
    return environment.get_template("a.html").render()


def static_files_and_templates():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles
    from starlette.testclient import TestClient

    os.makedirs("/tmp/static", exist_ok=True)
    for name in ("a.webp", "a.woff2", "a.css", "a.txt"):
        with open(f"/tmp/static/{name}", "w") as stream:
            stream.write("x" * 9)

    async def echo(socket):
        await socket.accept()
        await socket.send_text((await socket.receive_text()).upper())
        await socket.close()

    async def fail(request):
        raise RuntimeError("on purpose")

    routes = [
        Route("/json", lambda request: JSONResponse(dict(request.query_params))),
        Route("/fail", fail),
        WebSocketRoute("/ws", echo),
        Mount("/s", StaticFiles(directory="/tmp/static")),
    ]
    with TestClient(Starlette(debug=True, routes=routes), raise_server_exceptions=False) as client:
        kinds = [client.get(f"/s/{n}").headers["content-type"] for n in ("a.webp", "a.woff2", "a.css", "a.txt")]
        part = client.get("/s/a.txt", headers={"range": "bytes=0-3"})
        with client.websocket_connect("/ws") as socket:
            socket.send_text("hello")
            heard = socket.receive_text()
        failed = client.get("/fail", headers={"accept": "text/html"})
        return [
            kinds,
            part.status_code,
            client.get("/json?a=1").json(),
            client.get("/nothing").status_code,
            heard,
            failed.status_code,
            "on purpose" in failed.text,
        ]


def authorities_of_certifi():
    import ssl

    import certifi
    import requests
    import requests.certs

    context = ssl.create_default_context(cafile=certifi.where())
    return [
        context.cert_store_stats(),
        requests.certs.where() == certifi.where(),
        requests.utils.DEFAULT_CA_BUNDLE_PATH == certifi.where(),
    ]


def requests_to_nobody():
    import httpx
    import requests

    said = []
    for ask in (requests.get, httpx.get):
        try:
            ask("http://localhost:1/", timeout=5)
        except Exception as error:
            said.append([type(error).__module__, type(error).__name__])
    return said


def request_encodings():
    import requests

    prepared = requests.Request(
        "POST", "http://bücher.example/é", files={"f": ("é.webp", b"x")}, params={"a": "ü"}
    ).prepare()
    return [
        prepared.url,
        prepared.headers["Content-Length"],
        requests.models.complexjson.__name__,
        requests.utils.guess_filename(open("/etc/passwd")),
    ]


def cryptography_of_wheel():
    from cryptography.hazmat.backends.openssl.backend import backend
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    made = Cipher(algorithms.AES(b"k" * 16), modes.CBC(b"i" * 16)).encryptor().update(b"x" * 16).hex()
    return [
        made,
        Scrypt(b"s", 16, 16, 1, 1).derive(b"p").hex(),
        backend.openssl_version_text(),
        backend.hash_supported(hashes.SM3()),
    ]


def locales_of_babel():
    from babel import Locale, localedata, numbers

    names = ("de", "fr_CA", "ja", "ar_EG", "pt_BR", "zh_Hant_TW")
    return [
        len(localedata.locale_identifiers()),
        {n: [Locale.parse(n).display_name, numbers.format_currency(1234.5, "EUR", locale=n)] for n in names},
    ]
