"""What is asked of each wheel with compiled modules: one function a wheel."""

import asyncio
import os
import sys
import tempfile

TEXT = b"hello " * 1000


def wheel_numpy():
    import numpy as np

    a = np.arange(12.0).reshape(3, 4)
    solved = np.linalg.solve(np.array([[3.0, 1], [1, 2]]), np.array([9.0, 8]))
    big = np.random.default_rng(1).random((120, 120))
    return [
        float((a @ a.T).sum()),
        solved.round(6).tolist(),
        np.fft.rfft(a[0]).real.round(6).tolist(),
        float((big @ np.linalg.inv(big)).trace().round(6)),
    ]


def wheel_pydantic():
    import pydantic
    import pydantic_core

    class M(pydantic.BaseModel):
        n: int
        tags: list[str] = []

    try:
        M(n="x")
    except pydantic.ValidationError as error:
        return [M(n="42", tags=["a"]).model_dump_json(), error.errors()[0]["type"], pydantic_core.from_json("[1]")]


def wheel_orjson():
    import orjson

    return orjson.dumps({"b": 1.5, "a": [None, "é"]}, option=orjson.OPT_SORT_KEYS).decode()


def wheel_msgspec():
    import msgspec

    class P(msgspec.Struct):
        x: int
        y: list[float] = []

    return [repr(msgspec.json.decode(b'{"x":1,"y":[2.5]}', type=P)), msgspec.msgpack.encode(P(1)).hex()]


def wheel_lxml():
    from lxml import etree

    tree = etree.fromstring("<r><a n='1'/><a n='2'/></r>")
    return [tree.xpath("sum(//@n)"), etree.tostring(tree).decode()]


def wheel_pillow():
    from PIL import Image, ImageFilter

    image = Image.new("RGB", (64, 48), "red").filter(ImageFilter.GaussianBlur(2)).resize((9, 9))
    said = []
    for kind in ("PNG", "JPEG", "WEBP"):
        with tempfile.TemporaryFile() as stream:
            image.save(stream, kind)
            stream.seek(0)
            said.append([Image.open(stream).format, Image.open(stream).size])
    return said


def wheel_cryptography():
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    key.public_key().verify(key.sign(b"x"), b"x")
    made = Fernet(Fernet.generate_key())
    return [
        key.sign(b"x").hex()[:16], made.decrypt(made.encrypt(b"a")).decode(), AESGCM(b"k" * 16).encrypt(b"n" * 12, b"x", None).hex(),
        rsa.generate_private_key(65537, 1024).key_size,
    ]  # fmt: skip


def wheel_cffi():
    import cffi

    ffi = cffi.FFI()
    ffi.cdef("int abs(int); size_t strlen(const char *); typedef int (*f)(int);")
    libc = ffi.dlopen(None)
    called = ffi.callback("int(int)", lambda n: n + 1)
    return [libc.abs(-42), libc.strlen(b"hello"), called(41)]


def wheel_greenlet():
    import greenlet

    said = []

    def other():
        said.append("other")
        main.switch()
        said.append("again")

    main, child = greenlet.getcurrent(), greenlet.greenlet(other)
    child.switch()
    said.append("main")
    child.switch()
    return said


def wheel_uvloop():
    import uvloop

    async def main():
        server = await asyncio.start_server(_shout, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
        return [(await reader.read()).decode(), await child.wait(), type(asyncio.get_running_loop()).__module__]

    return uvloop.run(main())


async def _shout(reader, writer):
    writer.write((await reader.readline()).upper())
    writer.close()


def wheel_httptools():
    import httptools

    class P:
        def on_url(self, url):
            self.url = url.decode()

    heard = P()
    parser = httptools.HttpRequestParser(heard)
    parser.feed_data(b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    return [heard.url, parser.get_method().decode(), parser.should_keep_alive()]


def wheel_psutil():
    import psutil

    own = psutil.Process()
    return [
        psutil.cpu_count() > 0, psutil.virtual_memory().total > 1 << 24, own.pid in psutil.pids(), own.num_threads(),
        own.cmdline()[:2], own.cwd(), bool(own.memory_info().rss), "lo" in psutil.net_if_addrs(), own.uids().real == os.getuid(),
    ]  # fmt: skip


def wheel_regex():
    import regex

    return [
        regex.findall(r"[[:alpha:]--[a-c]]{3,}", "été abc ночь", flags=regex.V1),
        bool(regex.search(r"(?e)(hello){e<=1}", "helo")),
    ]


def wheel_lz4():
    import lz4.block
    import lz4.frame

    return [lz4.frame.decompress(lz4.frame.compress(TEXT)) == TEXT, len(lz4.block.compress(TEXT)) < 100]


def wheel_zstandard():
    import zstandard

    packed = zstandard.ZstdCompressor(level=19, threads=2).compress(TEXT)
    return [zstandard.ZstdDecompressor().decompress(packed) == TEXT, len(packed) < 100]


def wheel_brotli():
    import brotli

    return [brotli.decompress(brotli.compress(TEXT)) == TEXT, len(brotli.compress(TEXT)) < 100]


def wheel_ujson():
    import ujson

    return [ujson.dumps({"a": [1, "é"]}), ujson.loads("[1.5]")]


def wheel_multidict():
    import multidict

    many = multidict.CIMultiDict([("A", "1"), ("a", "2")])
    return [many.getall("a"), type(many).__module__, list(many.keys())]


def wheel_yarl():
    import yarl

    return str(yarl.URL("http://bücher.example/é").with_query(a="ü").with_port(8080))


def wheel_aiohttp():
    import aiohttp
    from aiohttp import web

    async def hello(request):
        return web.json_response({"hello": request.match_info["name"]})

    async def main():
        app = web.Application()
        app.add_routes([web.get("/{name}", hello)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/you") as answer:
            said = [answer.status, await answer.text()]
        await runner.cleanup()
        return said

    return asyncio.run(main())


def wheel_markupsafe():
    import markupsafe
    from markupsafe import _speedups

    return [str(markupsafe.escape("<é>")), bool(_speedups)]


def wheel_pyyaml():
    import yaml

    return [yaml.load("a: [1, x]", Loader=yaml.CSafeLoader), yaml.dump({"a": [1]}, Dumper=yaml.CSafeDumper)]


def wheel_msgpack():
    import msgpack

    return [msgpack.packb({"a": [1, b"x"]}).hex(), msgpack.Packer.__module__]


def wheel_xxhash():
    import xxhash

    return [xxhash.xxh3_64_hexdigest(TEXT), xxhash.xxh128_hexdigest(b"x")]
