"""The transcripts of ``hello`` and ``redis``: a static program with everything around it, and a server with data."""

from __future__ import annotations

import uuid
from typing import Any

from bench.machines.forms import Life
from bench.machines.transcript import Hearing, distinct, free_port, health, told, until

WORLD = """\
echo "args $0 $1|$2"
echo "user $(id -u):$(id -g) $(id -G) $(id -un)"
echo "here $(pwd) umask $(umask) files $(ulimit -n) core $(ulimit -c)"
env | grep -v -e ^SHLVL= -e ^PWD= | sort
grep -E '^(SigBlk|SigIgn|CapEff|CapPrm):' /proc/self/status
echo fds $(ls /proc/self/fd | grep -v 3)
echo root $(ls /)
for each in full null ptmx random shm tty urandom zero fd stdin stdout stderr; do
  [ -e /dev/$each ] || echo "no /dev/$each"
done
ls -ld /tmp /run /dev/shm /root /etc | awk '{print $1, $3, $4, $9}'
cat /etc/hosts
head -c 1000 /dev/urandom | wc -c
sh -c 'kill -9 $$' 2>/dev/null; echo "killed $?"
(echo x >/etc/written && cat /etc/written) 2>&1
touch /tmp/made && ls -l /tmp/made | awk '{print $1, $3, $4, $9}'
ip addr show lo | grep -o 'LOOPBACK,UP\\|inet 127.0.0.1/8'
echo to stderr >&2
exit 7
"""
PATIENT = "trap 'echo heard; exit 5' TERM; echo up; while :; do busybox sleep 0.1; done"


def hello(hearing: Hearing) -> None:
    """Streams, exit codes, arguments, environment, user, folders, signals, what may be written."""
    run, image = hearing.host.run, hearing.image

    def shell(script: str, *words: str, stdin: bytes = b"", before: tuple[str, ...] = ()) -> Any:
        return run(image, *before, "--", "busybox", "sh", "-c", script, *words, stdin=stdin)

    def world() -> Any:
        done = shell(WORLD, "zero", "a b", "é", before=("-n", "m-world", "-e", "A=1 2"))
        return [done.code, told(done.out, "m-world"), done.err]

    def stopped() -> Any:
        with hearing.host.started(image, "--", "busybox", "sh", "-c", PATIENT, wait=False) as life:
            until(lambda: b"up" in life.logs().out)
            code = life.stop()
            return [code, life.logs().out, life.seen()["state"]]

    hearing.hear("greeting", lambda: run(image))
    hearing.hear("greeting whom", lambda: run(image, "--who", "Zoë & {co}"))
    hearing.hear("bad param", lambda: run(image, "--who", "x" * 101).code)
    hearing.hear("world", world)
    hearing.hear("stdin", lambda: shell("busybox sha256sum; busybox wc -c", stdin=b"\0\xff\n" * 100_000))
    hearing.hear("much", lambda: shell("busybox seq 200000; busybox seq 9 >&2"))
    hearing.hear("read-only", lambda: shell("echo x >/tmp/a; echo x >/etc/a", before=("--read-only",)))
    hearing.hear("stopped", stopped)


def redis(hearing: Hearing) -> None:
    """A session over its protocol, commands inside, a peer by name, data kept over a restart, a graceful end."""
    data, network = (f"m-{uuid.uuid4().hex[:10]}" for _ in range(2))
    port = free_port()
    words = ("-p", f"127.0.0.1:{port}:6379", "-v", f"{data}:/var/lib/redis", "--network", network)
    host, image = hearing.host, hearing.image

    def from_a_peer(life: Life) -> Any:
        asking = ("--", "redis-cli", "-h", life.name, "get", "answer")
        return host.run(image, "--fresh", "--network", network, *asking)

    try:
        with host.started(image, *words, "--memory", "32MiB") as life:
            _session(hearing, port)
            hearing.hear("health", lambda: health(life))
            hearing.hear("inside", lambda: life.exec("redis-cli", "get", "answer"))
            hearing.hear("inside, stdin", lambda: life.exec("redis-cli", "-x", "set", "in", stdin=b"\0x\n" * 9))
            hearing.hear("inside, wrong", lambda: life.exec("redis-cli", "-p", "1", "ping"))
            hearing.hear("by a peer", lambda: from_a_peer(life))
            hearing.hear("stopped", life.stop)
            hearing.hear("logs", lambda: _words(life))
        with host.started(image, *words) as life:
            hearing.hear("kept", lambda: _client(port).mget("answer", "in", "long"))
            hearing.hear("memory", lambda: _client(port).config_get("maxmemory"))
            hearing.hear("killed", lambda: host("rm", "--force", life.name).code)
    finally:
        host("volumes", "--rm", data, code=None)


def _client(port: int) -> Any:
    import redis as protocol

    return protocol.Redis(port=port, socket_timeout=60)


def _session(hearing: Hearing, port: int) -> None:
    client = _client(port)
    hearing.hear("set", lambda: [client.set("answer", 42), client.get("answer"), client.incr("n")])
    hearing.hear("long", lambda: [client.set("long", b"\0\xff" * 500_000), client.strlen("long")])
    hearing.hear("lua", lambda: client.eval("return {cjson.encode({1, math.pi}), redis.sha1hex('x')}", 0))
    hearing.hear("pipeline", lambda: client.pipeline().lpush("l", *range(1000)).lrange("l", 0, 2).execute())
    hearing.hear("sorted", lambda: [client.zadd("z", {"a": 1, "b": 2}), client.zrange("z", 0, -1, withscores=True)])
    hearing.hear("saved in the background", lambda: _saved(client))
    hearing.hear("version", lambda: client.info("server")["redis_version"])
    hearing.hear("limit", lambda: client.config_get("maxmemory"))
    hearing.hear("wrong", lambda: client.execute_command("NONSENSE"))


def _saved(client: Any) -> Any:
    """A snapshot by a forked child."""
    client.bgsave()
    until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"])
    return client.info("persistence")["rdb_last_bgsave_status"]


def _words(life: Life) -> list[str]:
    """What it wrote, less what it says of its kernel's settings and of how long things took."""
    own = r"WARNING|overcommit|[Bb]acklog|CoW|seconds|Memory|_\.|-`|\|`"
    return distinct(told(life.logs().out, life.name, without=own))
