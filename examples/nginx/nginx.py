"""A static site over HTTP and TLS."""

import oslet


class Nginx(oslet.Oslet):
    """A static site over HTTP and TLS."""

    packages = ["nginx"]
    user = "www-data"
    command = ["nginx", "-c", "/etc/oslet/nginx.conf", "-e", "stderr"]
    ports = ["{port}", "{tls_port}"]
    stop_signal = "SIGQUIT"
    files = {
        "/srv/site": "./site",
        "/etc/oslet/nginx.conf": oslet.Template("./nginx.conf"),
        "/etc/oslet/key.pem": oslet.SecretFile("key"),
        "/etc/oslet/certificate.pem": oslet.SecretFile("certificate"),
    }
    features = {"openssl": {"legacy": False, "engines": False}}  # TLS needs neither
    health = oslet.Tcp("{port}")

    port: oslet.Port = oslet.param(8080, help="where HTTP listens")
    tls_port: oslet.Port = oslet.param(8443, help="where TLS listens")
    key: oslet.Secret = oslet.param(help="the private key, PEM")
    certificate: oslet.Secret = oslet.param(help="the certificate with its chain, PEM")
