"""nginx: before an application, and alone with a folder."""

from __future__ import annotations

from oslet.declare import Enum, Int, Oslet, Port, Size, Url, param
from oslet.model.oslet import Check, Tcp, Text

MAIN = """\
daemon off;
pid /tmp/nginx.pid;
error_log stderr notice;
worker_processes {workers};

events {{ worker_connections {connections}; }}

http {{
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log /dev/stdout;
  sendfile on;
  tcp_nopush on;
  server_tokens off;
  gzip on;
  gzip_types text/css text/plain text/javascript application/javascript application/json application/xml image/svg+xml;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  include /etc/nginx/conf.d/*.conf;
}}
"""
PROXY = """\
map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}

server {{
  listen {port};
  client_max_body_size {body};
  location / {{
    proxy_pass {upstream};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
  }}
}}
"""
FOLDER = """\
server {{
  listen {port};
  root /srv/site;
  index index.html;
  location / {{ try_files $uri $uri/ {fallback}; }}
}}
"""


class _Engine(Oslet):
    """What both have."""

    packages = ["nginx"]
    user = "www-data"
    command = ["nginx", "-c", "/etc/oslet/nginx.conf", "-e", "stderr"]
    ports = ["{port}"]
    stop_signal = "SIGQUIT"  # requests that are being answered are answered
    url = "http://{host}:{port}"
    features = {"openssl": {"legacy": False, "engines": False}}  # TLS needs neither

    port: Port = param(8080, help="where it listens")
    workers: Int = param(1, min=1, max=1024, help="how many processes answer")
    connections: Int = param(512, min=16, max=1 << 20, help="how many connections a process holds")


class Nginx(_Engine):
    """nginx before an application.

    It passes on what it is asked, WebSockets too. For a configuration of your own, place a file of server blocks in a
    subclass: `files = {**Nginx.files, "/etc/nginx/conf.d/site.conf": oslet.Template("./site.conf")}`. TLS is two secret
    params more, and `listen 8443 ssl` there.
    """

    files = {"/etc/oslet/nginx.conf": Text(MAIN), "/etc/nginx/conf.d/site.conf": Text(PROXY)}
    health = Tcp("{port}")
    checks = [Check("an absent application", http="/")]

    upstream: Url = param("http://127.0.0.1:8000", schemes=["http", "https"], help="the application")
    body: Size = param("1MiB", help="the largest request")


class StaticSite(_Engine):
    """A folder as a web site.

    The folder is the volume /srv/site: `oslet run catalog:static-site -v ./public:/srv/site`. A subclass has it in its
    image instead, with `volumes = []` and `files = {**StaticSite.files, "/srv/site": "./public"}`.
    """

    volumes = ["/srv/site"]
    files = {"/etc/oslet/nginx.conf": Text(MAIN), "/etc/nginx/conf.d/site.conf": Text(FOLDER)}
    health = Tcp("{port}")
    checks = [Check("no page", http="/nothing")]

    fallback: Enum = param("=404", choices=("=404", "/index.html"), help="what answers for a path that isn't there")
