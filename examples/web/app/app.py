"""A small API: JSON, an upload, a websocket, and a call out over TLS."""

import hashlib
import ssl
import urllib.request
from typing import Annotated

from fastapi import FastAPI, UploadFile, WebSocket
from pydantic import BaseModel, Field

api = FastAPI()


class Item(BaseModel):
    name: str
    price: Annotated[float, Field(gt=0)]


@api.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@api.post("/items")
def add(item: Item) -> dict[str, str | float]:
    return {"name": item.name, "price_with_tax": round(item.price * 1.25, 2)}


@api.post("/upload")
async def upload(file: UploadFile) -> dict[str, str | int]:
    content = await file.read()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@api.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text((await socket.receive_text()).upper())
    await socket.close()


class Call(BaseModel):
    url: str
    ca: str


@api.post("/call")
def call(request: Call) -> dict[str, str | int]:
    """Fetch ``url`` over TLS, trusting the system's certificates and the one given."""
    trust = ssl.create_default_context()
    before = trust.cert_store_stats()["x509_ca"]
    trust.load_verify_locations(cadata=request.ca)
    with urllib.request.urlopen(request.url, timeout=10, context=trust) as answer:
        return {"status": answer.status, "body": answer.read(1000).decode(), "system_certificates": before}
