"""Users, names, devices, limits: what the system says of itself."""

import contextlib
import grp
import locale
import os
import platform
import pwd
import resource
import socket
import stat
import subprocess
import sys
import sysconfig


def users():
    return [list(p) for p in pwd.getpwall()] + [list(pwd.getpwuid(os.getuid()))]


def nobody():
    return [
        pwd.getpwnam("nobody").pw_uid,
        pwd.getpwuid(65534).pw_name,
        os.path.expanduser("~nobody"),
        os.path.expanduser("~"),
    ]


def groups():
    return [list(g) for g in grp.getgrall()] + [grp.getgrgid(os.getgid()).gr_name, os.getgrouplist("root", 0)]


def login_name():
    import getpass

    with contextlib.suppress(OSError):
        return [os.getlogin()]
    return getpass.getuser()


def localhost():
    found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    return sorted(repr(f) for f in found) + [socket.gethostbyname("localhost"), socket.gethostbyaddr("127.0.0.1")[0]]


def own_name():
    return [socket.gethostname(), socket.gethostbyname(socket.gethostname()), platform.node() == socket.gethostname()]


def unknown_name():
    try:
        socket.getaddrinfo("no.such.example", 80)
    except socket.gaierror as error:
        return [error.errno, error.strerror]


def international_name():
    try:
        socket.getaddrinfo("bücher.example", 80)
    except socket.gaierror as error:
        return error.errno


def services():
    names = ("http", "https", "domain", "ssh", "postgresql", "redis", "imaps", "ntp")
    return [socket.getservbyname(n) for n in names] + [socket.getservbyport(25), socket.getservbyport(53, "udp")]


def service_as_port():
    return sorted({f[4][1] for f in socket.getaddrinfo("127.0.0.1", "https")})


def protocols():
    return [socket.getprotobyname(n) for n in ("tcp", "udp", "icmp", "ipv6-icmp", "sctp")]


def interfaces():
    return socket.if_nameindex()


def distribution():
    return [platform.freedesktop_os_release()["ID"], platform.freedesktop_os_release()["VERSION_ID"]]


def platform_words():
    return [
        platform.system(),
        platform.machine(),
        platform.libc_ver(),
        platform.architecture(),
        platform.python_version(),
    ]


def build_configuration():
    names = ("EXT_SUFFIX", "SOABI", "LIBDIR", "MULTIARCH", "Py_ENABLE_SHARED")
    return [sysconfig.get_config_vars()[n] for n in names] + [sysconfig.get_paths(), sysconfig.get_platform()]


def search_path():
    return [sys.path, sys.prefix, sys.base_prefix, sys.executable, sys.platlibdir, list(sys.orig_argv)]


def site_packages():
    import site

    return [site.getsitepackages(), site.getusersitepackages(), site.ENABLE_USER_SITE, site.check_enableusersite()]


def locale_of_environment():
    return [locale.setlocale(locale.LC_ALL, ""), locale.getlocale(), locale.getpreferredencoding(), locale.localeconv()]


def locale_c_utf8():
    set_to = locale.setlocale(locale.LC_ALL, "C.UTF-8")
    said = [
        locale.nl_langinfo(getattr(locale, n)) for n in ("CODESET", "D_FMT", "DAY_1", "MON_12", "RADIXCHAR", "YESEXPR")
    ]
    return [
        set_to,
        said,
        locale.strcoll("ä", "z") > 0,
        locale.strxfrm("ab"),
        locale.format_string("%.2f", 1234.5, True),
    ]


def locale_absent():
    found = {}
    for name in ("en_US.UTF-8", "de_DE.UTF-8", "pl_PL", "POSIX", "C"):
        try:
            found[name] = locale.setlocale(locale.LC_ALL, name)
        except locale.Error as error:
            found[name] = str(error)
    return found


def wide_characters():
    script = "import os; print(ascii(os.fsencode('été')), ascii('żółw'.upper()), len('日本'))"
    env = {"LC_ALL": "C.UTF-8"}
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True).stdout


def limits():
    return [resource.getrlimit(getattr(resource, n)) for n in ("RLIMIT_CORE", "RLIMIT_FSIZE")] + [
        resource.getpagesize()
    ]


def devices():
    def kind(path):
        mode = os.stat(path).st_mode
        return [stat.filemode(mode), os.path.realpath(path) if stat.S_ISCHR(mode) else ""]

    return {
        p: kind(p)
        for p in ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/shm")
    }


def proc():
    with open("/proc/self/comm") as comm, open("/proc/self/cgroup") as cgroup, open("/proc/mounts") as mounts:
        return [comm.read(), bool(cgroup.read()), sorted({line.split()[1] for line in mounts})]


def folders():
    paths = (
        "/",
        "/tmp",
        "/run",
        "/var/tmp",
        "/dev/shm",
        "/root",
        "/home",
        "/etc",
        "/var/log",
        "/var/lib",
        "/opt",
        "/srv",
        "/mnt",
    )
    return {p: stat.filemode(os.stat(p).st_mode) if os.path.exists(p) else None for p in paths}


def links_of_root():
    return {
        n: os.readlink(f"/{n}") if os.path.islink(f"/{n}") else None
        for n in ("bin", "sbin", "lib", "lib64", "var/run", "var/lock")
    }


def temporary_files():
    import tempfile

    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.NamedTemporaryFile() as named,
        tempfile.TemporaryFile() as plain,
    ):
        plain.write(b"x")
        return [tempfile.gettempdir(), os.path.isdir(folder), os.stat(named.name).st_mode, os.memfd_create("x") > 0]


def times_of_files():
    with open("/tmp/t", "w") as stream:
        stream.write("x")
    os.utime("/tmp/t", (1, 2))
    os.link("/tmp/t", "/tmp/u")
    os.symlink("t", "/tmp/v")
    os.setxattr("/tmp/t", "user.a", b"1")
    return [
        os.stat("/tmp/v").st_mtime,
        os.stat("/tmp/u").st_nlink,
        os.listxattr("/tmp/t"),
        os.statvfs("/tmp").f_namemax,
    ]


def crypt_of_the_system():
    import ctypes
    import ctypes.util

    name = ctypes.util.find_library("crypt")
    if not name:
        return None
    crypt = ctypes.CDLL(name).crypt
    crypt.restype = ctypes.c_char_p
    return crypt(b"p", b"$6$salt$").decode()


def shells():
    import shutil

    return {name: shutil.which(name) for name in ("sh", "bash", "env", "ls", "ldconfig", "perl")}
