"""Python web applications: ASGI under uvicorn, WSGI under gunicorn. Both are to be subclassed, with an application."""

from __future__ import annotations

from oslet.declare import Duration, Int, Oslet, Port, Str, param
from oslet.model.oslet import Check, Tcp, Warm

APPLICATION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\(\))?"


class _Application(Oslet):
    """What both have: the application's folder is ``/app``."""

    packages = ["python3", "ca-certificates"]
    user = "www-data"
    ports = ["{port}"]
    url = "http://{host}:{port}"
    env = {"PYTHONUNBUFFERED": "1"}
    health = Tcp("{port}")
    checks = [Check("the front page", http="/")]

    app: Str = param(at="build", pattern=APPLICATION, help="the application, module:name, below /app")
    port: Port = param(8000, help="where it listens")
    workers: Int = param(1, min=1, max=256, help="how many processes answer")


class Asgi(_Application):
    """An ASGI application (FastAPI, Starlette, Django, Litestar, …) under uvicorn.

    To be subclassed: `app = "main:api"`, `files = {"/app": "./app"}`, `wheels = [*Asgi.wheels, "fastapi"]`.
    """

    wheels = ["uvicorn"]
    command = [
        *("python3", "-m", "uvicorn", "{app}", "--app-dir", "/app", "--host", "0.0.0.0", "--port", "{port}"),
        *("--workers", "{workers}"),
    ]
    warm = Warm(modules=("uvicorn",))


class Wsgi(_Application):
    """A WSGI application (Flask, Django, Pyramid, …) under gunicorn.

    To be subclassed: `app = "main:app"`, `files = {"/app": "./app"}`, `wheels = [*Wsgi.wheels, "flask"]`.
    """

    wheels = ["gunicorn"]
    command = [
        *("python3", "-m", "gunicorn", "--chdir", "/app", "--bind", "0.0.0.0:{port}", "--workers", "{workers}"),
        *("--threads", "{threads}", "--timeout", "{timeout}", "--worker-tmp-dir", "/dev/shm", "{app}"),
    ]
    warm = Warm(modules=("gunicorn.app.wsgiapp",))

    threads: Int = param(1, min=1, max=1024, help="how many threads answer in a process")
    timeout: Duration = param("30s", min="1s", help="after which a silent process is replaced")
