"""RabbitMQ.

Erlang's machine is started directly, as Debian's scripts in the end do: they need a dozen programs for what is known
here. Users are given as definitions, which RabbitMQ imports at each start, so that the password is the instance's and
not the volume's. Nodes talk on the loopback device only: an instance is a broker of its own.
"""

from __future__ import annotations

from oslet.declare import Enum, List, Oslet, Port, Size, Str, param
from oslet.model.instance import Secret
from oslet.model.oslet import Check, Tcp, Text

START = """\
#!/bin/sh
# start-rabbitmq [ARGUMENT …]: the broker; with arguments, Erlang with its libraries and those.
set -eu
for erts in /usr/lib/erlang/erts-*; do :; done
for server in /usr/lib/rabbitmq/lib/rabbitmq_server-*; do :; done
export ROOTDIR=/usr/lib/erlang BINDIR=$erts/bin EMU=beam PROGNAME=erl ERL_LIBS=$server/plugins
export RABBITMQ_HOME=$server RABBITMQ_PLUGINS_DIR=$server/plugins
[ $# = 0 ] || exec "$BINDIR/erlexec" -noinput "$@"
exec "$BINDIR/erlexec" -noinput -s rabbit boot -boot start_sasl +W w +sbwt none \\
  +MBas ageffcbf +MHas ageffcbf +MBlmbcs 512 +MHlmbcs 512 +MMmcs 30 \\
  -syslog logger '[]' -syslog syslog_error_logger false -kernel prevent_overlapping_partitions false \\
  -os_mon start_disksup false -os_mon start_cpu_sup false -os_mon start_memsup false \\
  -kernel inet_dist_use_interface '{{127,0,0,1}}'
"""
CONFIGURATION = """\
listeners.tcp.default = {port}
log.console = true
log.console.level = {level}
log.file = false
loopback_users = none
load_definitions = /etc/oslet/definitions.json
vm_memory_high_watermark.absolute = {memory}
disk_free_limit.absolute = 50MB
{settings}
"""
DEFINITIONS = """\
{{
  "users": [{{"name": "{username}", "password": "{password}", "tags": "administrator"}}],
  "vhosts": [{{"name": "/"}}],
  "permissions": [{{"user": "{username}", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}}]
}}
"""
LOADED = (
    "application:load(rabbit), {{ok, Modules}} = application:get_key(rabbit, modules), "
    "Missing = [M || M <- Modules, code:ensure_loaded(M) =/= {{module, M}}], "
    'io:format("~p ~p ~p~n", [length(Modules), Missing, crypto:hash(md5, <<"x">>)]), halt().'
)
PLUGINS = [
    f"/usr/lib/rabbitmq/lib/*/plugins/*/{part}"
    for part in ("ebin/**", "priv/schema/**", "priv/www/*", "priv/www/css/**", "priv/www/js/**", "priv/www/img/**")
]
"""Without rabbitmqadmin, which the management plugin hands out, and which is written in Python."""


class RabbitMQ(Oslet):
    """A RabbitMQ broker that keeps its queues in a volume.

    The user and the password are set at each start. A plugin that listens needs its port published, such as
    `-p 15672` for rabbitmq_management.
    """

    packages = ["rabbitmq-server", "dash"]
    trim = "lean"  # the package has seven copies of its command line, and one in Python
    keep = ["/usr/lib/erlang/**", *PLUGINS]
    user = "rabbitmq"
    command = ["/bin/sh", "/usr/local/bin/start-rabbitmq"]
    ports = ["{port}"]
    volumes = ["/var/lib/rabbitmq"]
    url = "amqp://{username}:{password}@{host}:{port}/"
    env = {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "rabbit@localhost",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": "/etc/oslet/rabbitmq.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": "/etc/oslet/plugins",
    }
    files = {
        "/usr/local/bin/start-rabbitmq": Text(START, 0o755),
        "/etc/oslet/rabbitmq.conf": Text(CONFIGURATION),
        "/etc/oslet/definitions.json": Text(DEFINITIONS),
        "/etc/oslet/plugins": Text("[{plugins}].\n"),
    }
    features = {"openssl": {"legacy": False, "engines": False}}
    health = Tcp("{port}")
    checks = [Check("its modules", run=("/bin/sh", "/usr/local/bin/start-rabbitmq", "-eval", LOADED))]

    port: Port = param(5672, help="where AMQP listens")
    username: Str = param("guest", pattern=r"[\w.@-]{1,64}", help="who may do everything")
    password: Secret = param(min_length=8, pattern=r"[!#-\[\]-~]+", help="of that user")
    memory: Size = param("256MiB", min="64MiB", help="how much to use before publishers have to wait")
    plugins: List[Str] = param([], help="what is switched on: rabbitmq_management, rabbitmq_mqtt, …")
    level: Enum = param("info", choices=("debug", "info", "warning", "error"), help="what is logged")
    settings: List[Str] = param([], separator="\n", help="more lines of rabbitmq.conf")
