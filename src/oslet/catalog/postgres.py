"""PostgreSQL.

A cluster is made once for an image (``warm.prepare``) and its copies are shared out, so no secret may be in it: the
password is set when an instance starts, by PostgreSQL's single-user mode (postgres(1)), before anybody can connect.
Settings and who may connect stand outside the data folder, where parameters reach them. The shell is initdb's own
need: it runs ``postgres -V`` and ``locale -a`` by popen(3).
"""

from __future__ import annotations

from oslet.declare import Bool, Int, List, Oslet, Port, Size, Str, param
from oslet.model.instance import Secret
from oslet.model.oslet import Check, Exec, Text, Warm

DATA = "/var/lib/postgresql/data"
PROGRAMS = "/usr/lib/postgresql/{version}/bin"
SETTINGS = "/etc/oslet/postgresql.conf"
INITDB = (
    *("--username=postgres", "--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8"),
    *("--text-search-config=english", "--no-instructions"),
)

START = f"""#!/bin/sh
# start-postgres: what the server needs done before it is there, then the server.
set -e
data={DATA}
[ -e "$data/PG_VERSION" ] || {PROGRAMS}/initdb --pgdata="$data" {" ".join(INITDB)}
if [ -s /run/secrets/password ]; then
  # The statement reads the file itself, so that the password is on no command line and needs no quoting here.
  set="EXECUTE format('ALTER ROLE postgres PASSWORD %L', pg_read_file('/run/secrets/password'))"
  echo "DO \\$\\$BEGIN $set; END\\$\\$" |
    {PROGRAMS}/postgres --single -D "$data" -c config_file={SETTINGS} -c exit_on_error=on \\
      -c log_error_verbosity=terse -c log_min_error_statement=panic postgres >/dev/null
  access=password
else
  access=trust
fi
exec {PROGRAMS}/postgres -D "$data" -c config_file={SETTINGS} -c hba_file=/etc/oslet/$access.conf
"""

CONFIGURATION = """\
listen_addresses = '*'
port = {port}
unix_socket_directories = '/tmp'
hba_file = '/etc/oslet/password.conf'
max_connections = {connections}
shared_buffers = {shared_buffers}B
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
timezone = 'UTC'
log_timezone = 'UTC'
default_text_search_config = 'pg_catalog.english'
{settings}
"""

READY = (
    "[ -S /tmp/.s.PGSQL.{port} ] && "
    f'while read -r line; do state=$line; done <{DATA}/postmaster.pid && [ "$state" = ready ]'
)
"""The last line of postmaster.pid is the server's state (pg_ctl(1) goes by it too): it takes connections before it can
answer. The socket is this server's own, so the file is not one that a killed one left."""

QUERY = "select count(*), sum(n), md5(string_agg(n::text, 'ä' order by n)) from generate_series(1, 999) as n;"


def _access(method: str) -> Text:
    """A pg_hba.conf: everybody by ``method`` over TCP, the service user itself without over the socket."""
    return Text(f"local all all peer\nhost all all all {method}\nhost replication all all {method}\n")


class Postgres(Oslet):
    """A PostgreSQL server that keeps its data in a volume.

    The password is the instance's, not the data's: it is set at each start, before anybody can connect, so that
    instances which begin as copies of one cluster share none, and a new password needs no more than a new start (which
    costs 60 ms). Without one, whoever reaches the port is let in. It is published on this machine's loopback address
    unless you say another, so that is the machine's users, and instances that share a network with it.

    ICU knows English and what all languages need, which saves 26 MB; a subclass that sorts by another says
    `features = {**Postgres.features, "icu": ["en", "sv"]}`. Extensions are packages: `packages = [*Postgres.packages,
    "postgresql-{version}-postgis-3"]`. Of another suite, another `version`: 15 of bookworm.
    """

    packages = ["postgresql-{version}", "dash"]
    user = "postgres"
    command = ["/bin/sh", "/usr/local/bin/start-postgres"]
    ports = ["{port}"]
    volumes = [DATA]
    stop_signal = "SIGINT"  # "fast": sessions are ended, and what they did is written
    url = "postgresql://postgres:{password}@{host}:{port}/postgres"
    warm = Warm(snapshot=DATA, prepare=(f"{PROGRAMS}/initdb", f"--pgdata={DATA}", *INITDB))
    files = {
        "/usr/local/bin/start-postgres": Text(START, 0o755),
        SETTINGS: Text(CONFIGURATION),
        "/etc/oslet/password.conf": _access("scram-sha-256"),
        "/etc/oslet/trust.conf": _access("trust"),
    }
    features = {
        "postgres": {"jit": False},  # no LLVM, which is larger than all the rest
        "openssl": {"legacy": False, "engines": False},
        "icu": "en",
        "charsets": [],  # PostgreSQL converts by itself
    }
    health = Exec(("/bin/sh", "-c", READY))
    checks = [
        Check(
            "a query",
            run=(
                *("/bin/sh", "-c"),
                f"{PROGRAMS}/initdb --pgdata=/tmp/data --no-sync {' '.join(INITDB)} >/dev/null && "
                f'echo "{QUERY}" | {PROGRAMS}/postgres --single -D /tmp/data -c log_min_messages=panic postgres',
            ),
        )
    ]

    version: Str = param("17", at="build", pattern="[0-9]{2}", help="the major version that the suite has")
    port: Port = param(5432, help="where it listens")
    password: Secret = param("", min_length=8, help="the superuser's (postgres); without, everybody is let in")
    connections: Int = param(50, min=5, max=10_000, help="how many clients at once")
    shared_buffers: Size = param("128MiB", min="128KiB", help="memory that its processes share")
    durable: Bool = param(True, help="whether what it confirmed outlives a power cut; false is quicker, for tests")
    settings: List[Str] = param([], separator="\n", help="more lines of postgresql.conf, each NAME = 'VALUE'")
