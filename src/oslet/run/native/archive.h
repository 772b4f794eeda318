/* Files of a guest to and from its host: contents, and tar streams. Children of init, with the stream as 0 and 1.
 *
 * The format is POSIX ustar, with pax headers where that is too small for a name (pax(1)), as run/carrying.py has it on
 * the other side. What a stream says leads nowhere out of its folder: each part of a name is opened by itself, and no
 * link is followed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, DEEPEST = 200, LONGEST = 4096, FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

struct tar { /* a header as it lies in the stream */
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, target[100], magic[8], rest[80], prefix[155], end[12];
};

static long left_out;

static int complain(const char *path, const char *why) {
    dprintf(2, "%s: %s\n", path, why ? why : strerror(errno));
    return 1;
}

static int put(const void *data, size_t size) {
    for (const char *at = data; size;) {
        ssize_t sent = write(1, at, size);
        if (sent < 0 && errno != EINTR)
            return -1;
        if (sent > 0)
            at += sent, size -= sent;
    }
    return 0;
}

static int names(int fd) {
    DIR *all = fdopendir(fd);
    for (struct dirent *each; all && (each = readdir(all));)
        if (strcmp(each->d_name, ".") && strcmp(each->d_name, ".."))
            if (put(each->d_name, strlen(each->d_name)) || put("\n", 1))
                return -1;
    closedir(all);
    return 0;
}

/* Each file's content, or a folder's names, which end with a newline. */
static int read_files(struct words *paths) {
    char data[16 << 10];
    for (uint32_t i = 0; i < paths->count; i++) {
        int fd = open(paths->list[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        ssize_t got = 0;
        if (fd < 0 || fstat(fd, &st))
            return complain(paths->list[i], 0);
        if (S_ISDIR(st.st_mode)) {
            if (names(fd))
                return 1;
            continue;
        }
        while ((got = read(fd, data, sizeof data)) > 0)
            if (put(data, got))
                return 1;
        if (got < 0)
            return complain(paths->list[i], 0);
        close(fd);
    }
    return 0;
}

static int header(const char *name, char type, unsigned mode, uint64_t size, int64_t mtime, const char *target) {
    struct tar h = {.type = type, .magic = "ustar"};
    unsigned sum = 0;
    memcpy(h.magic + 6, "00", 2);
    memcpy(h.name, name, strnlen(name, sizeof h.name));
    memcpy(h.target, target, strnlen(target, sizeof h.target));
    snprintf(h.mode, sizeof h.mode, "%07o", mode & 0777), snprintf(h.uid, sizeof h.uid, "%07o", 0), snprintf(h.gid, sizeof h.gid, "%07o", 0);
    snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)(size >> 33 ? 0 : size));
    snprintf(h.mtime, sizeof h.mtime, "%011llo", (unsigned long long)(mtime < 0 || mtime >> 33 ? 0 : mtime));
    memset(h.sum, ' ', sizeof h.sum);
    for (unsigned i = 0; i < sizeof h; i++)
        sum += ((unsigned char *)&h)[i];
    snprintf(h.sum, sizeof h.sum, "%06o", sum);
    return put(&h, sizeof h);
}

static int padding(uint64_t size) {
    static const char zeros[BLOCK];
    return put(zeros, -size % BLOCK);
}

/* One record of a pax header: its own length first, in decimal. */
static size_t pax(char *into, const char *key, const char *value) {
    size_t rest = strlen(key) + strlen(value) + 3, length = rest + 1;
    while (snprintf(0, 0, "%zu", length) + rest != length)
        length++;
    return sprintf(into, "%zu %s=%s\n", length, key, value);
}

static int member(const char *name, char type, unsigned mode, uint64_t size, int64_t mtime, const char *target) {
    static char records[2 * LONGEST + 128];
    char number[24];
    size_t have = 0;
    if (strlen(name) > 100)
        have += pax(records + have, "path", name);
    if (strlen(target) > 100)
        have += pax(records + have, "linkpath", target);
    if (size >> 33)
        snprintf(number, sizeof number, "%llu", (unsigned long long)size), have += pax(records + have, "size", number);
    if (have && (header("././@PaxHeader", 'x', 0644, have, 0, "") || put(records, have) || padding(have)))
        return -1;
    return header(name, type, mode, size, mtime, target);
}

/* A file that may shrink while it is read: what is missing then is zeros, since its size was said before. */
static int content(int fd, uint64_t size) {
    static char data[64 << 10];
    for (uint64_t left = size; left;) {
        size_t part = left < sizeof data ? left : sizeof data;
        ssize_t got = read(fd, data, part);
        if (got <= 0)
            memset(data, 0, got = part);
        if (put(data, got))
            return -1;
        left -= got;
    }
    return padding(size);
}

static int pack_one(int folder, const char *name, const char *path, int depth, int top) {
    struct stat st;
    char inner[LONGEST], target[LONGEST] = "";
    if (depth > DEEPEST || strlen(path) >= LONGEST - 256)
        return complain(path, "lies too deep");
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW))
        return complain(path, 0);
    if (S_ISLNK(st.st_mode))
        return readlinkat(folder, name, target, sizeof target - 1) < 0 ? complain(path, 0)
                                                                      : member(path, '2', 0777, 0, st.st_mtime, target);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return left_out++, 0;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return complain(path, 0);
    if (S_ISREG(st.st_mode)) {
        int failed = member(path, '0', st.st_mode, st.st_size, st.st_mtime, "") || content(fd, st.st_size);
        close(fd);
        return failed;
    }
    snprintf(inner, sizeof inner, "%s/", path);
    if (member(inner, '5', st.st_mode, 0, st.st_mtime, ""))
        return 1;
    DIR *all = fdopendir(fd);
    for (struct dirent *each; all && (each = readdir(all));) {
        if (!strcmp(each->d_name, ".") || !strcmp(each->d_name, ".."))
            continue;
        if (top && (!strcmp(each->d_name, "proc") || !strcmp(each->d_name, "sys") || !strcmp(each->d_name, "dev")))
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, each->d_name);
        if (pack_one(fd, each->d_name, inner, depth + 1, 0))
            return 1;
    }
    closedir(all);
    return 0;
}

static void tell_left_out(void) {
    if (left_out)
        dprintf(2, "%ld devices, sockets and pipes were left out\n", left_out);
}

/* A file or folder as a tar; its first member is called as the path's last part, the root's `root`. */
static int pack(struct words *paths) {
    static char found[LONGEST], zeros[2 * BLOCK];
    if (paths->count != 1 || !realpath(paths->list[0], found))
        return complain(paths->count ? paths->list[0] : "", 0);
    char *name = strrchr(found, '/') + 1;
    *(name - 1) = 0;
    int top = !*name, folder = open(found[0] ? found : "/", FOLDER);
    if (folder < 0)
        return complain(found, 0);
    if (pack_one(folder, top ? "." : name, top ? "root" : name, 0, top) || put(zeros, sizeof zeros))
        return 1;
    tell_left_out();
    return 0;
}

static int take_exactly(void *into, size_t size) {
    for (char *at = into; size;) {
        ssize_t got = read(0, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        at += got, size -= got;
    }
    return 0;
}

/* A header's number: octal, or GNU's base 256; -1 for anything else. */
static int64_t number(const char *text, size_t size) {
    uint64_t value = 0;
    size_t i = 0;
    if ((unsigned char)text[0] == 0x80) {
        for (i = 1; i < size; i++) {
            if (value >> 55)
                return -1;
            value = value << 8 | (unsigned char)text[i];
        }
        return value;
    }
    while (i < size && text[i] == ' ')
        i++;
    for (; i < size && text[i] >= '0' && text[i] <= '7'; i++)
        value = value << 3 | (text[i] - '0');
    return i == size || !text[i] || text[i] == ' ' ? (int64_t)value : -1;
}

static struct { char path[LONGEST], target[LONGEST]; int64_t size; int named, linked, sized; } said; /* for the next member */

/* What a pax header says. -1 for one that isn't as POSIX has it. */
static int pax_read(char *data, size_t size) {
    for (char *at = data, *end = data + size; at < end;) {
        char *space = memchr(at, ' ', end - at);
        size_t length = strtoul(at, 0, 10);
        if (!space || length < 5 || length > (size_t)(end - at) || at + length <= space + 1 || at[length - 1] != '\n')
            return -1;
        at[length - 1] = 0;
        char *value = strchr(space + 1, '=');
        if (!value)
            return -1;
        *value++ = 0;
        if (!strcmp(space + 1, "path"))
            said.named = 1, snprintf(said.path, LONGEST, "%s", value);
        if (!strcmp(space + 1, "linkpath"))
            said.linked = 1, snprintf(said.target, LONGEST, "%s", value);
        if (!strcmp(space + 1, "size"))
            said.sized = 1, said.size = strtoll(value, 0, 10);
        at += length;
    }
    return 0;
}

/* An extension's content, at most 64 KiB of it; null, and -1, for more. */
static int extension(char type, int64_t size) {
    static char data[(64 << 10) + BLOCK];
    if (size > 64 << 10 || take_exactly(data, size + -(uint64_t)size % BLOCK))
        return -1;
    data[size] = 0;
    if (type == 'L')
        said.named = 1, snprintf(said.path, LONGEST, "%s", data);
    if (type == 'K')
        said.linked = 1, snprintf(said.target, LONGEST, "%s", data);
    return type == 'x' ? pax_read(data, size) : 0;
}

static void own(int folder, const char *name, struct boot *b) {
    if (b->said >> BOOT_UID & 1 && fchownat(folder, name, b->uid, b->gid, AT_SYMLINK_NOFOLLOW))
        return;
}

/* The folder that `path` (without its last part, which `name` is then) leads to below `top`, made where it isn't there. */
static int descend(int top, char *path, char **name, struct boot *b) {
    int at = fcntl(top, F_DUPFD_CLOEXEC, 3), depth = 0;
    for (char *part = path, *next; at >= 0; part = next) {
        part += strspn(part, "/");
        while (part[0] == '.' && (part[1] == '/' || !part[1]))
            part += 1 + strspn(part + 1, "/");
        next = part + strcspn(part, "/");
        char *after = next + strspn(next, "/");
        if (!strncmp(part, "..", 2) && next == part + 2) {
            errno = EINVAL;
            break;
        }
        if (!*after) {
            *next = 0, *name = part;
            return at;
        }
        *next = 0;
        if (!mkdirat(at, part, 0755))
            own(at, part, b);
        int inner = ++depth > DEEPEST ? -1 : openat(at, part, FOLDER);
        close(at);
        at = inner, next = after;
    }
    if (at >= 0)
        close(at);
    return -1;
}

static int lay_down(int folder, char *name, struct tar *h, int64_t size, struct boot *b) {
    static char data[64 << 10];
    int64_t mtime = number(h->mtime, sizeof h->mtime);
    unlinkat(folder, name, 0);
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), failed = fd < 0;
    for (uint64_t left = size + -(uint64_t)size % BLOCK, whole = size; left && !failed;) {
        size_t part = left < sizeof data ? left : sizeof data, real = whole < part ? whole : part;
        failed = take_exactly(data, part);
        for (size_t done = 0; done < real && !failed;) {
            ssize_t sent = write(fd, data + done, real - done);
            failed = sent <= 0;
            done += sent > 0 ? sent : 0;
        }
        left -= part, whole -= real;
    }
    struct timespec times[2] = {{mtime < 0 ? 0 : mtime, 0}, {mtime < 0 ? 0 : mtime, 0}};
    if (!failed)
        failed = fchmod(fd, number(h->mode, sizeof h->mode) & 0777), futimens(fd, times), own(folder, name, b);
    int code = errno;
    if (fd >= 0)
        close(fd);
    errno = code;
    return failed;
}

/* One member, whose header this is. `only`: the one name that its first part must have, which is `dest` then. */
static int unpack_one(int top, struct tar *h, const char *only, const char *dest, struct boot *b) {
    static char path[2 * LONGEST], plain[LONGEST];
    int64_t size = said.sized ? said.size : number(h->size, sizeof h->size);
    if (said.named)
        snprintf(path, sizeof path, "%s", said.path);
    else
        snprintf(path, sizeof path, "%.155s%s%.100s", h->prefix, h->prefix[0] && !memcmp(h->magic, "ustar", 6) ? "/" : "", h->name);
    snprintf(plain, sizeof plain, "%s", path);
    const char *target = said.linked ? said.target : h->target;
    if (path[0] == '/' || size < 0)
        return complain(plain, "is no name below a folder");
    if (only[0]) {
        size_t first = strcspn(plain, "/");
        if (strlen(only) != first || strncmp(only, plain, first))
            return complain(dest, "has to be a folder, since the stream holds more than one");
        snprintf(path, sizeof path, "%s%s", dest, plain + first);
    }
    char *name;
    int folder = descend(top, path, &name, b);
    if (folder < 0)
        return complain(plain, 0);
    int failed = 0;
    if (h->type == '5') {
        if (*name && mkdirat(folder, name, 0755) && errno != EEXIST)
            failed = complain(plain, 0);
        if (*name)
            own(folder, name, b);
    } else if (h->type == '2') {
        char text[LONGEST];
        snprintf(text, sizeof text, "%.*s", said.linked ? LONGEST - 1 : 100, target);
        unlinkat(folder, name, 0);
        failed = symlinkat(text, folder, name) ? complain(plain, 0) : 0;
        own(folder, name, b);
    } else if (h->type == '0' || !h->type || h->type == '7') {
        failed = lay_down(folder, name, h, size, b) ? complain(plain, 0) : 0;
    } else {
        char skipped[BLOCK];
        left_out++;
        for (uint64_t left = size; left && !failed; left -= left < BLOCK ? left : BLOCK)
            failed = take_exactly(skipped, BLOCK);
    }
    close(folder);
    return failed;
}

/* A stream's members below a folder, or its one file or folder as a path whose parent is there. */
static int unpack(struct words *paths, struct boot *b) {
    static char only[LONGEST], parent[LONGEST];
    struct tar h;
    struct stat st;
    if (paths->count != 1 || paths->list[0][0] != '/' || strlen(paths->list[0]) >= LONGEST)
        return complain(paths->count ? paths->list[0] : "", "is no absolute path");
    int within = !stat(paths->list[0], &st) && S_ISDIR(st.st_mode), count = 0;
    const char *dest = strrchr(paths->list[0], '/') + 1;
    snprintf(parent, sizeof parent, "%.*s/", (int)(dest - paths->list[0]), paths->list[0]);
    int top = open(within ? paths->list[0] : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return complain(within ? paths->list[0] : parent, 0);
    umask(0);
    while (!take_exactly(&h, sizeof h) && h.name[0]) {
        int64_t size = number(h.size, sizeof h.size);
        if (size < 0)
            return complain("the stream", "is no tar");
        if (strchr("xgLK", h.type) && h.type) {
            if (extension(h.type, size))
                return complain("the stream", "is no tar");
            continue;
        }
        if (!within && !only[0])
            snprintf(only, sizeof only, "%.*s", said.named ? (int)strcspn(said.path, "/") : (int)strcspn(h.prefix[0] ? h.prefix : h.name, "/"), said.named ? said.path : h.prefix[0] ? h.prefix : h.name);
        if (unpack_one(top, &h, only, dest, b))
            return 1;
        memset(&said, 0, sizeof said);
        count++;
    }
    for (char rest[4096]; read(0, rest, sizeof rest) > 0;) /* the archive's end */
        ;
    if (!count)
        return complain("the stream", "holds nothing");
    tell_left_out();
    return 0;
}
