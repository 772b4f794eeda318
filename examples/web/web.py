import oslet


class Web(oslet.Oslet):
    packages = ["python3", "ca-certificates"]
    wheels = ["fastapi", "uvicorn", "python-multipart", "websockets"]
    command = ["python3", "-m", "uvicorn", "app:api", "--app-dir", "/app", "--host", "0.0.0.0", "--port", "{port}"]
    ports = ["{port}"]
    files = {"/app": "./app"}
    env = {"PYTHONPATH": "/app"}
    health = oslet.Http("/healthz")
    warm = oslet.Warm(("encodings.idna", "uvicorn.main", "uvicorn.loops.auto", "uvicorn.loops.asyncio", "app", "warm"))

    port: oslet.Port = oslet.param(8080, help="where the API listens")
