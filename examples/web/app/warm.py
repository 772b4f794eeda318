"""What the first request would find undone, done while a warm slot waits: the server is loaded, the app asked once."""

import asyncio
import socket

import uvicorn
from app import api


async def serve_once() -> None:
    """The whole way of a request, over a pair of sockets: nothing listens, and nobody else hears of it."""
    config = uvicorn.Config(api, log_level="critical")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.lifespan.startup()
    ours, its = socket.socketpair()
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(
        lambda: config.http_protocol_class(config=config, server_state=server.server_state, app_state={}), its
    )
    reader, writer = await asyncio.open_connection(sock=ours)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    await server.lifespan.shutdown()


asyncio.run(serve_once())
