/* The boot record: what a guest is told to be. docs/guest.md has the format, formats/boot.py the writer.
 *
 * boot_read() adds one record to a struct boot: single values replace what an earlier record said, arguments replace
 * arguments, variables replace those of their name, files and disks those of their path. Texts are used where they lie,
 * so the record's bytes stay as long as the struct does. Whatever they say, nothing outside of them is read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BOOT_MAGIC "OSLETBT1"
enum { BOOT_HEAD = 16, BOOT_MOST = 16 << 20, BOOT_MANY = 1 << 16, BOOT_FILES = 4096, BOOT_GROUPS = 64 };
enum {
    BOOT_ARG = 1, BOOT_ENV, BOOT_WORKDIR, BOOT_UID, BOOT_GID, BOOT_GROUP_LIST, BOOT_HOSTNAME, BOOT_FILE, BOOT_ADDRESS,
    BOOT_GATEWAY, BOOT_MAC, BOOT_DISK, BOOT_READ_ONLY, BOOT_SEED, BOOT_STOP, BOOT_CLOCK, BOOT_WARM, BOOT_PROGRAM,
    BOOT_MTU, BOOT_CAPABILITIES, BOOT_TAGS
};
static const uint32_t BOOT_NOBODY = 0xffffffff; /* an owner that is left as it is */
static const uint32_t BOOT_SECRET = 1U << 31;   /* in a file's mode; of no matter here */

struct words { /* ends with a null pointer, as execve(2) wants it */
    const char **list;
    uint32_t count;
};
struct boot_file {
    const char *path, *data;
    uint32_t size, mode, uid, gid;
};
struct boot_disk {
    const char *device, *path, *kind;
    uint32_t uid, gid, read_only;
};
struct boot {
    struct words argv, env, warm;
    const char *workdir, *hostname, *address, *gateway, *mac, *seed, *program;
    uint32_t uid, gid, groups[BOOT_GROUPS], group_count, read_only, stop, mtu, seed_size, program_size;
    uint64_t clock, capabilities, said; /* said: a bit for each tag that there was */
    struct boot_file *files;
    struct boot_disk *disks;
    uint32_t file_count, disk_count;
};

static uint32_t boot_crc(const unsigned char *at, size_t size) {
    uint32_t crc = ~0U;
    for (; size; size--) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

#ifndef BOOT_WRITER /* the shim, which reads none */
static uint32_t boot_u32(const char *at) {
    uint32_t value;
    memcpy(&value, at, 4); /* little-endian, as every machine that oslet runs on */
    return value;
}

/* Where the NUL-ended text at `at` ends, its NUL included; null if it doesn't before `end`. */
static const char *boot_text(const char *at, const char *end) {
    const char *nul = at < end ? memchr(at, 0, end - at) : 0;
    return nul ? nul + 1 : 0;
}

static int boot_push(struct words *words, const char *text) {
    if (words->count >= BOOT_MANY)
        return 0;
    if (!(words->count & (words->count + 1))) { /* full at 1, 3, 7, …: with the null pointer, at powers of two */
        const char **more = realloc(words->list, (2 * words->count + 2) * sizeof *more);
        if (!more)
            return 0;
        words->list = more;
    }
    words->list[words->count++] = text;
    words->list[words->count] = 0;
    return 1;
}

/* One variable, NAME=VALUE, in the place of an earlier one of its name. */
static int boot_set(struct words *env, const char *text) {
    size_t name = strcspn(text, "=") + 1;
    for (uint32_t i = 0; i < env->count; i++)
        if (!strncmp(env->list[i], text, name)) {
            env->list[i] = text;
            return 1;
        }
    return boot_push(env, text);
}

/* Room for one more of `count` things of `size` bytes; null if there is none. */
static void *boot_more(void *list, uint32_t count, size_t size) {
    if (count & (count - 1) || count >= BOOT_FILES)
        return count >= BOOT_FILES ? 0 : list;
    return realloc(list, (count ? 2 * count : 1) * size);
}

/* A path of the guest: absolute, without a `..` that would lead out of what is below it. */
static int boot_path(const char *path) {
    if (path[0] != '/' || strlen(path) >= 4096)
        return 0;
    for (const char *at = path; (at = strstr(at, "/..")); at += 3)
        if (!at[3] || at[3] == '/')
            return 0;
    return 1;
}

static const char *boot_add_file(struct boot *b, const char *at, const char *end) {
    if (end - at < 12)
        return "a file that is cut short";
    struct boot_file file = {.mode = boot_u32(at) & ~BOOT_SECRET, .uid = boot_u32(at + 4), .gid = boot_u32(at + 8), .path = at + 12};
    file.data = boot_text(file.path, end);
    if (!file.data || !boot_path(file.path) || file.path[1] == 0 || file.mode > 07777)
        return "a file without a path";
    file.size = end - file.data;
    for (uint32_t i = 0; i < b->file_count; i++)
        if (!strcmp(b->files[i].path, file.path)) {
            b->files[i] = file;
            return 0;
        }
    struct boot_file *more = boot_more(b->files, b->file_count, sizeof file);
    if (!more)
        return "too many files";
    b->files = more, b->files[b->file_count++] = file;
    return 0;
}

static const char *boot_add_disk(struct boot *b, const char *at, const char *end) {
    if (end - at < 12)
        return "a disk that is cut short";
    struct boot_disk disk = {.uid = boot_u32(at), .gid = boot_u32(at + 4), .read_only = boot_u32(at + 8), .device = at + 12};
    disk.path = boot_text(disk.device, end);
    disk.kind = disk.path ? boot_text(disk.path, end) : 0;
    if (!disk.kind || boot_text(disk.kind, end) != end || !disk.device[0] || !boot_path(disk.path))
        return "a disk without a device, a path and a kind";
    for (uint32_t i = 0; i < b->disk_count; i++)
        if (!strcmp(b->disks[i].path, disk.path)) {
            b->disks[i] = disk;
            return 0;
        }
    struct boot_disk *more = boot_more(b->disks, b->disk_count, sizeof disk);
    if (!more)
        return "too many disks";
    b->disks = more, b->disks[b->disk_count++] = disk;
    return 0;
}

static const char *boot_texts(struct boot *b, unsigned tag, const char *at, const char *end) {
    if (boot_text(at, end) != end)
        return "a text that doesn't end where it should";
    switch (tag) {
    case BOOT_ARG:
        return boot_push(&b->argv, at) ? 0 : "too many arguments";
    case BOOT_WARM:
        return boot_push(&b->warm, at) ? 0 : "too many arguments";
    case BOOT_ENV:
        return !strchr(at, '=') || at[0] == '=' ? "a variable without a name" : boot_set(&b->env, at) ? 0 : "too many variables";
    case BOOT_WORKDIR:
        return boot_path(b->workdir = at) ? 0 : "a working folder that isn't an absolute path";
    case BOOT_HOSTNAME:
        return strlen(b->hostname = at) <= 64 ? 0 : "a host name of over 64 bytes";
    case BOOT_ADDRESS:
        return b->address = at, (char *)0;
    case BOOT_GATEWAY:
        return b->gateway = at, (char *)0;
    default:
        return b->mac = at, (char *)0;
    }
}

static const char *boot_number(struct boot *b, unsigned tag, const char *at, size_t size) {
    uint64_t value = 0;
    int wide = tag == BOOT_CLOCK || tag == BOOT_CAPABILITIES;
    if (size != (wide ? 8 : 4))
        return "a number of another size";
    memcpy(&value, at, size);
    if (wide) {
        *(tag == BOOT_CLOCK ? &b->clock : &b->capabilities) = value;
        return 0;
    }
    uint32_t *place = tag == BOOT_UID ? &b->uid : tag == BOOT_GID ? &b->gid : tag == BOOT_STOP ? &b->stop
                    : tag == BOOT_MTU ? &b->mtu : &b->read_only;
    *place = value;
    return tag == BOOT_STOP && (value < 1 || value > 64) ? "a signal that isn't one" : 0;
}

static const char *boot_entry(struct boot *b, unsigned tag, const char *at, const char *end) {
    switch (tag) {
    case BOOT_ARG: case BOOT_WARM: case BOOT_ENV: case BOOT_WORKDIR: case BOOT_HOSTNAME: case BOOT_ADDRESS:
    case BOOT_GATEWAY: case BOOT_MAC:
        return boot_texts(b, tag, at, end);
    case BOOT_UID: case BOOT_GID: case BOOT_STOP: case BOOT_MTU: case BOOT_READ_ONLY: case BOOT_CLOCK:
    case BOOT_CAPABILITIES:
        return boot_number(b, tag, at, end - at);
    case BOOT_GROUP_LIST:
        if ((end - at) % 4 || end - at > (long)sizeof b->groups)
            return "a list of groups that is none";
        memcpy(b->groups, at, end - at);
        return b->group_count = (end - at) / 4, (char *)0;
    case BOOT_FILE:
        return boot_add_file(b, at, end);
    case BOOT_DISK:
        return boot_add_disk(b, at, end);
    case BOOT_SEED:
        return b->seed = at, b->seed_size = end - at, (char *)0;
    case BOOT_PROGRAM:
        return b->program = at, b->program_size = end - at, (char *)0;
    default:
        return "an entry of an unknown kind";
    }
}

/* The size of the record that `data` begins with, header included; 0 if it doesn't, or is larger than may be. */
static size_t boot_size(const char *data, size_t size) {
    if (size < BOOT_HEAD || memcmp(data, BOOT_MAGIC, 8) || boot_u32(data + 8) > BOOT_MOST)
        return 0;
    return BOOT_HEAD + (size_t)boot_u32(data + 8);
}

/* Adds the record in `data`, which zeros may follow; null, or what is wrong with it. Then `b` may hold a part of it. */
static const char *boot_read(struct boot *b, const char *data, size_t size) {
    size_t whole = boot_size(data, size);
    if (!whole)
        return "not a boot record";
    if (whole > size)
        return "a boot record that is cut short";
    if (boot_crc((const unsigned char *)data + BOOT_HEAD, whole - BOOT_HEAD) != boot_u32(data + 12))
        return "a boot record whose checksum is wrong";
    uint64_t here = 0;
    for (const char *at = data + BOOT_HEAD, *end = data + whole; at < end;) {
        if (end - at < 6)
            return "an entry that is cut short";
        uint16_t tag;
        memcpy(&tag, at, 2);
        uint32_t length = boot_u32(at + 2);
        at += 6;
        if (length > end - at)
            return "an entry that is cut short";
        if (!tag || tag >= BOOT_TAGS)
            return "an entry of an unknown kind";
        if (!(here >> tag & 1) && (tag == BOOT_ARG || tag == BOOT_WARM))
            (tag == BOOT_ARG ? &b->argv : &b->warm)->count = 0;
        here |= 1ULL << tag;
        const char *wrong = boot_entry(b, tag, at, at + length);
        if (wrong)
            return wrong;
        at += length;
    }
    b->said |= here;
    return 0;
}

static void boot_free(struct boot *b) {
    free(b->argv.list), free(b->env.list), free(b->warm.list), free(b->files), free(b->disks);
    memset(b, 0, sizeof *b);
}
#endif
