/* What a guest is made of: its mounts, its root, its network, its identity. Included by init.c alone.
 *
 * Everything here returns null, or what is wrong in a few words, errno beside it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <dirent.h>
#include <unistd.h>

/* A short file's text, its last newline cut off; the bytes that were read, -1 if it can't be. */
static long slurp(const char *path, char *text, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    long have = 0, got;
    while ((size_t)have < room - 1 && (got = read(fd, text + have, room - 1 - have)) > 0)
        have += got;
    close(fd);
    text[have] = 0;
    if (have && text[have - 1] == '\n')
        text[have - 1] = 0;
    return have;
}

/* The value of `name` on the kernel's command line, copied; null where the word is absent. `oslet.hold` has "". */
static char *word(const char *name) {
    static char line[64 << 10];
    if (!line[0])
        slurp("/proc/cmdline", line, sizeof line);
    size_t size = strlen(name);
    for (const char *at = line; *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (!strncmp(at, name, size) && (at[size] == '=' || at[size] == ' ' || !at[size]))
            return at[size] == '=' ? strndup(at + size + 1, strcspn(at + size + 1, " ")) : strdup("");
    }
    return 0;
}

static void folder(const char *path, int mode) {
    mkdir(path, mode);
}

/* The folders above `path`, made where they aren't there. */
static void folders(const char *path) {
    char text[4096];
    snprintf(text, sizeof text, "%s", path);
    for (char *at = text + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = 0;
        mkdir(text, 0755);
    }
}

static int proc(void) {
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
}

/* The first mounts: what the rest needs to be found by, and a console. */
static void mounts(void) {
    folder("/proc", 0555), folder("/sys", 0555), folder("/dev", 0755);
    proc();
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") && errno != EBUSY) {
        static const struct { const char *path; int mode, major, minor; } nodes[] = {
            {"/dev/null", 0666, 1, 3}, {"/dev/zero", 0666, 1, 5}, {"/dev/full", 0666, 1, 7}, {"/dev/random", 0666, 1, 8},
            {"/dev/urandom", 0666, 1, 9}, {"/dev/tty", 0666, 5, 0}, {"/dev/console", 0600, 5, 1}, {"/dev/ptmx", 0666, 5, 2},
        };
        mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=0755");
        for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
            mknod(nodes[i].path, S_IFCHR, makedev(nodes[i].major, nodes[i].minor));
            chmod(nodes[i].path, nodes[i].mode);
        }
    }
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    if (console < 0 && (console = open("/dev/null", O_RDWR)) < 0)
        return;
    for (int fd = 0; fd < 3; fd++)
        if (fd != console)
            dup2(console, fd);
    if (console > 2)
        close(console);
    symlink("/proc/self/fd", "/dev/fd"), symlink("fd/0", "/dev/stdin"), symlink("fd/1", "/dev/stdout"), symlink("fd/2", "/dev/stderr");
}

/* Those of the application: it may do without any of them but for what it says itself. */
static void late_mounts(void) {
    folder("/dev/pts", 0755), folder("/dev/shm", 01777), folder("/run", 0755), folder("/tmp", 01777);
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666,gid=5");
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

/* Modules in the order of /modules.list: a path a line, parameters behind it (finit_module(2)). */
static const char *modules(void) {
    static char list[64 << 10];
    if (slurp("/modules.list", list, sizeof list) <= 0)
        return 0;
    for (char *line = strtok(list, "\n"); line; line = strtok(0, "\n")) {
        char *options = strchr(line, ' ');
        if (options)
            *options++ = 0;
        int fd = open(line, O_RDONLY | O_CLOEXEC), packed = !strstr(line, ".ko") || strcmp(strstr(line, ".ko"), ".ko");
        if (fd < 0)
            return line;
        if (syscall(SYS_finit_module, fd, options ? options : "", packed ? 4 : 0) && errno != EEXIST)
            return line; /* 4: MODULE_INIT_COMPRESSED_FILE */
        close(fd);
    }
    return 0;
}

/* Files that nobody can reach any more, on the initramfs alone: `device` is its own. */
static void discard(int at, const char *name, dev_t device) {
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != device)
        return;
    if (!S_ISDIR(st.st_mode)) {
        unlinkat(at, name, 0);
        return;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *all = fd < 0 ? 0 : fdopendir(fd);
    for (struct dirent *each; all && (each = readdir(all));)
        if (strcmp(each->d_name, ".") && strcmp(each->d_name, ".."))
            discard(fd, each->d_name, device);
    if (all)
        closedir(all);
    unlinkat(at, name, AT_REMOVEDIR);
}

/* A device may be found later than its driver: up to 2 s are given it. */
static int appears(const char *path) {
    for (int tries = 0; access(path, F_OK); tries++) {
        if (tries == 400)
            return 0;
        usleep(5000);
    }
    return 1;
}

/* The device below /sys/class/block whose `file` there has the line `text`; 0 if none has. */
static const char *having(const char *file, const char *text, char *path, size_t room) {
    DIR *all = opendir("/sys/class/block");
    const char *found = 0;
    for (struct dirent *each; !found && all && (each = readdir(all));) {
        char place[300], said[1024];
        snprintf(place, sizeof place, "/sys/class/block/%s/%s", each->d_name, file);
        if (slurp(place, said, sizeof said) <= 0)
            continue;
        for (char *rest = said, *line; !found && (line = strsep(&rest, "\n"));)
            if (!strcmp(line, text))
                snprintf(path, room, "/dev/%s", each->d_name), found = path;
    }
    if (all)
        closedir(all);
    return found;
}

/* The device that `name` means: a path, `serial:TEXT` for the virtio disk that says so, or `partname:TEXT` for the
 * partition of a GPT that has that name. Such a one is waited for, too. */
static const char *disk(const char *name, char *path, size_t room) {
    char line[300];
    int serial = !strncmp(name, "serial:", 7), part = !strncmp(name, "partname:", 9);
    if (!serial && !part) {
        snprintf(path, room, "%s", name);
        return appears(path) ? path : 0;
    }
    snprintf(line, sizeof line, "%s%s", part ? "PARTNAME=" : "", name + (part ? 9 : 7));
    for (int tries = 0; tries < (part ? 2000 : 1); tries++, usleep(5000))
        if (having(part ? "uevent" : "serial", line, path, room))
            return appears(path) ? path : 0;
    return 0;
}

/* The disk `name` below a layer in memory, as the root; the initramfs's own files are gone then. */
static const char *root(const char *name, const char *kind) {
    struct stat old;
    char device[300];
    if (!disk(name, device, sizeof device))
        return "there is no such disk";
    folder("/.below", 0755), folder("/.layer", 0755), folder("/.root", 0755);
    if (mount(device, "/.below", kind, MS_RDONLY | MS_NODEV, 0))
        return "it can't be mounted";
    if (mount("tmpfs", "/.layer", "tmpfs", 0, "mode=0755"))
        return "a tmpfs above it can't be mounted";
    folder("/.layer/upper", 0755), folder("/.layer/work", 0755);
    if (mount("overlay", "/.root", "overlay", MS_NODEV, "lowerdir=/.below,upperdir=/.layer/upper,workdir=/.layer/work"))
        return "an overlay above it can't be mounted";
    static const char *const moved[] = {"/dev", "/proc", "/sys"};
    for (int i = 0; i < 3; i++) {
        char to[32];
        snprintf(to, sizeof to, "/.root%s", moved[i]);
        folder(to, 0755);
        if (mount(moved[i], to, 0, MS_MOVE, 0))
            return "its folders can't take /dev, /proc and /sys";
    }
    int before = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    umount2("/.below", MNT_DETACH), umount2("/.layer", MNT_DETACH); /* the overlay keeps both */
    if (chdir("/.root") || mount(".", "/", 0, MS_MOVE, 0) || chroot(".") || chdir("/"))
        return "it can't become the root";
    struct statfs fs; /* ramfs or tmpfs, as an initramfs is: nothing else may be emptied */
    if (before >= 0 && !fstat(before, &old) && !fstatfs(before, &fs) && (fs.f_type == 0x858458f6 || fs.f_type == 0x01021994))
        discard(before, ".", old.st_dev);
    close(before);
    return 0;
}

static const char *disks(struct boot *b) {
    static char wrong[512];
    for (uint32_t i = 0; i < b->disk_count; i++) {
        struct boot_disk *d = &b->disks[i];
        char device[300], type[64];
        snprintf(wrong, sizeof wrong, "the disk %.100s for %.200s", d->device, d->path);
        if (!disk(d->device, device, sizeof device))
            return errno = ENODEV, wrong;
        snprintf(type, sizeof type, "%s", d->kind);
        folders(d->path), folder(d->path, 0755);
        if (mount(device, d->path, type, MS_NOSUID | MS_NODEV | (d->read_only ? MS_RDONLY : 0), 0))
            return wrong;
        char lost[4200];
        snprintf(lost, sizeof lost, "%s/lost+found", d->path);
        if (!d->read_only)
            rmdir(lost); /* an empty volume is to look so: initdb(1) refuses others */
        if (!d->read_only && d->uid != BOOT_NOBODY && chown(d->path, d->uid, d->gid))
            return wrong;
    }
    return 0;
}

/* Each file by a new name and a rename, so that what was linked there stays as it is. */
static const char *files(struct boot *b) {
    for (uint32_t i = 0; i < b->file_count; i++) {
        struct boot_file *f = &b->files[i];
        char fresh[4096 + 16];
        snprintf(fresh, sizeof fresh, "%s.oslet", f->path);
        folders(f->path);
        int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        size_t done = 0;
        for (ssize_t sent; fd >= 0 && done < f->size && (sent = write(fd, f->data + done, f->size - done)) > 0;)
            done += sent;
        if (fd < 0 || done < f->size || fchown(fd, f->uid, f->gid) || fchmod(fd, f->mode) || rename(fresh, f->path)) {
            unlink(fresh);
            return f->path;
        }
        close(fd);
    }
    return 0;
}

/* The name of the first link that isn't lo; empty if there is none. */
static void link_name(char name[IFNAMSIZ]) {
    DIR *all = opendir("/sys/class/net");
    name[0] = 0;
    for (struct dirent *each; all && (each = readdir(all));)
        if (each->d_name[0] != '.' && strcmp(each->d_name, "lo") && strlen(each->d_name) < IFNAMSIZ)
            if (!name[0] || strcmp(each->d_name, name) < 0)
                strcpy(name, each->d_name);
    if (all)
        closedir(all);
}

static int request(int fd, const char *name, unsigned long what, uint32_t number) {
    struct ifreq r = {0};
    strcpy(r.ifr_name, name);
    if (what == SIOCSIFFLAGS) {
        ioctl(fd, SIOCGIFFLAGS, &r);
        r.ifr_flags = number ? r.ifr_flags | IFF_UP | IFF_RUNNING : r.ifr_flags & ~IFF_UP;
    } else if (what == SIOCSIFMTU) {
        r.ifr_mtu = number;
    } else {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = number};
        memcpy(&r.ifr_addr, &a, sizeof a);
    }
    return ioctl(fd, what, &r);
}

static int hardware(int fd, const char *name, const char *mac) {
    struct ifreq r = {.ifr_hwaddr.sa_family = 1}; /* ARPHRD_ETHER */
    strcpy(r.ifr_name, name);
    char *at = (char *)mac;
    for (int i = 0; i < 6; i++, at++) {
        char *start = at;
        r.ifr_hwaddr.sa_data[i] = strtoul(start, &at, 16);
        if (at == start || *at != (i < 5 ? ':' : 0))
            return errno = EINVAL, -1;
    }
    return ioctl(fd, SIOCSIFHWADDR, &r);
}

/* lo, and the first other link as the record has it; `again` for one that had another address. */
static const char *network(struct boot *b, int again) {
    char name[IFNAMSIZ], address[INET_ADDRSTRLEN] = "";
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) /* a kernel without a network is one that was asked for */
        return b->address ? "this kernel has no network" : 0;
    const char *wrong = 0;
    request(fd, "lo", SIOCSIFFLAGS, 1);
    link_name(name);
    if (!b->address)
        goto done;
    unsigned bits = 32;
    struct in_addr ip, way;
    const char *slash = strchr(b->address, '/');
    if (slash && slash - b->address < (long)sizeof address)
        memcpy(address, b->address, slash - b->address), bits = strtoul(slash + 1, 0, 10);
    wrong = b->address;
    if (!inet_aton(address, &ip) || bits > 32 || bits < 1) {
        errno = EINVAL;
        goto done;
    }
    if (!name[0]) {
        errno = ENODEV;
        goto done;
    }
    if (again || b->mac)
        request(fd, name, SIOCSIFFLAGS, 0);
    if (b->mac && hardware(fd, name, b->mac)) {
        wrong = b->mac;
        goto done;
    }
    if (b->mtu && request(fd, name, SIOCSIFMTU, b->mtu))
        goto done;
    if (request(fd, name, SIOCSIFADDR, ip.s_addr) || request(fd, name, SIOCSIFNETMASK, htonl(~0U << (32 - bits))))
        goto done;
    if (request(fd, name, SIOCSIFFLAGS, 1))
        goto done;
    if (b->gateway) {
        struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = name};
        struct sockaddr_in any = {.sin_family = AF_INET}, to = any;
        wrong = b->gateway;
        if (!inet_aton(b->gateway, &way)) {
            errno = EINVAL;
            goto done;
        }
        to.sin_addr = way;
        if (bits == 32) { /* a network of its own, whose gateway is beyond it */
            struct rtentry there = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = name};
            memcpy(&there.rt_dst, &to, sizeof to), memcpy(&there.rt_genmask, &any, sizeof any);
            if (ioctl(fd, SIOCADDRT, &there) && errno != EEXIST)
                goto done;
        }
        memcpy(&route.rt_dst, &any, sizeof any), memcpy(&route.rt_genmask, &any, sizeof any), memcpy(&route.rt_gateway, &to, sizeof to);
        if (ioctl(fd, SIOCADDRT, &route) && errno != EEXIST)
            goto done;
    }
    wrong = 0;
done:
    close(fd);
    return wrong;
}

/* Randomness of this guest's own: what a restored one had is what its siblings have, too (random(4)). */
static void entropy(const char *seed, size_t size) {
    struct { int bits, bytes; char seed[512]; } pool;
    int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    pool.bytes = size < sizeof pool.seed ? size : sizeof pool.seed;
    pool.bits = pool.bytes * 8;
    memcpy(pool.seed, seed, pool.bytes);
    ioctl(fd, RNDADDENTROPY, &pool);
    ioctl(fd, RNDRESEEDCRNG, 0);
    close(fd);
    explicit_bzero(&pool, sizeof pool);
}

static void clock_set(uint64_t nanoseconds) {
    struct timeval t = {nanoseconds / 1000000000, nanoseconds % 1000000000 / 1000};
    settimeofday(&t, 0);
}
