"""A Flask application under gunicorn."""

import oslet


class Flask(oslet.Oslet):
    """A Flask application under gunicorn."""

    packages = ["python3"]
    wheels = ["flask", "gunicorn"]
    command = [
        *("python3", "-m", "gunicorn", "--chdir", "/app", "--bind", "0.0.0.0:{port}", "--workers", "{workers}"),
        *("--worker-tmp-dir", "/dev/shm", "app:app"),
    ]
    ports = ["{port}"]
    files = {"/app": "./app"}
    env = {"GREETING": "{greeting}"}
    health = oslet.Http("/")

    port: oslet.Port = oslet.param(8000, help="where the application listens")
    workers: oslet.Int = oslet.param(2, min=1, max=64, help="how many processes answer")
    greeting: oslet.Str = oslet.param("Hello", help="what to say")
