import oslet


class Web(oslet.Oslet):
    packages = ["python3", "ca-certificates"]
    wheels = ["fastapi", "uvicorn", "python-multipart", "websockets"]
    command = ["python3", "-m", "uvicorn", "app:api", "--app-dir", "/app", "--host", "0.0.0.0", "--port", "{port}"]
    ports = ["{port}"]
    files = {"/app": "./app"}
    health = oslet.Http("/healthz")

    port: oslet.Port = oslet.param(8080, help="where the API listens")
