/* Where boot records come from before the stream: docs/guest.md, "Transports". Included by init.c alone.
 *
 * A record that isn't one is an error that names its transport: a guest never starts with half of what it was told.
 */
enum { ISO_SECTOR = 2048, ISO_MOST = 1 << 20 };

static char *load(const char *path, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return 0;
    size_t room = !fstat(fd, &st) && st.st_size > 0 && st.st_size <= BOOT_HEAD + BOOT_MOST ? st.st_size : 64 << 10;
    char *data = malloc(room);
    *size = 0;
    for (ssize_t got; data && *size < room && (got = read(fd, data + *size, room - *size)) > 0;)
        *size += got;
    close(fd);
    return data;
}

/* RFC 4648, section 5, in place; the bytes, or 0 for what isn't base64url. Padding, newlines and spaces are passed over. */
static size_t unbase(char *text, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t out = 0;
    uint32_t bits = 0, have = 0;
    for (size_t i = 0; i < size; i++) {
        if (strchr("=\n\r ", text[i])) /* and the NUL at the end */
            continue;
        const char *digit = strchr(digits, text[i]);
        if (!digit)
            return 0;
        bits = bits << 6 | (digit - digits), have += 6;
        if (have >= 8)
            have -= 8, text[out++] = bits >> have;
    }
    return out;
}

/* `data` is kept: what was read points into it. Raw, or base64url of that. */
static const char *given(struct boot *b, char *data, size_t size) {
    if (size > 11 && !memcmp(data, "T1NMRVRCVDE", 10)) /* the magic, encoded, but for the bits that its last byte shares */
        size = unbase(data, size);
    return boot_read(b, data, size);
}

static int allowed(const char *transport) {
    static char *from;
    if (!from && !(from = word("oslet.from")))
        from = "initramfs,fw_cfg,cmdline,disk,nocloud";
    size_t size = strlen(transport);
    for (const char *at = from; (at = strstr(at, transport)); at += size)
        if ((at == from || at[-1] == ',') && (!at[size] || at[size] == ','))
            return 1;
    return 0;
}

/* Reads /.oslet/boot and what is in /.oslet/boot.d, in the order of their names, and removes them: they may hold secrets. */
static const char *from_initramfs(struct boot *b) {
    struct dirent **names = 0;
    size_t size;
    char *data = load("/.oslet/boot", &size);
    const char *wrong = data ? given(b, data, size) : 0;
    int count = scandir("/.oslet/boot.d", &names, 0, alphasort);
    for (int i = 0; i < count; i++) {
        char path[300];
        snprintf(path, sizeof path, "/.oslet/boot.d/%s", names[i]->d_name);
        if (!wrong && names[i]->d_name[0] != '.' && (data = load(path, &size)))
            wrong = given(b, data, size);
        unlink(path);
        free(names[i]);
    }
    free(names);
    unlink("/.oslet/boot"), rmdir("/.oslet/boot.d"), rmdir("/.oslet");
    return wrong;
}

static const char *from_fw_cfg(struct boot *b) {
    size_t size;
    char *data = load("/sys/firmware/qemu_fw_cfg/by_name/opt/org.oslet/boot/raw", &size);
    return data ? given(b, data, size) : 0;
}

static const char *from_cmdline(struct boot *b) {
    char *text = word("oslet.boot");
    return text ? given(b, text, strlen(text)) : 0;
}

static int exactly(int fd, void *into, size_t size, uint64_t at) {
    return pread(fd, into, size, at) == (ssize_t)size;
}

/* Rock Ridge's name of a directory record (SUSP, "NM"), else the one in it; without the version that ISO 9660 adds. */
static void iso_name(const unsigned char *row, char *name, size_t room) {
    size_t length = row[0], plain = row[32], out = 0, at = 33 + plain + !(plain & 1);
    for (; at + 5 <= length && row[at + 2] >= 4 && at + row[at + 2] <= length; at += row[at + 2])
        if (row[at] == 'N' && row[at + 1] == 'M')
            for (size_t i = 5; i < row[at + 2] && out < room - 1; i++)
                name[out++] = row[at + i];
    for (size_t i = 0; !out && i < plain && i < room - 1 && row[33 + i] != ';'; i++)
        name[i] = row[33 + i], name[i + 1] = 0;
    if (out)
        name[out] = 0;
    else if (!plain)
        name[0] = 0;
}

/* The file `user-data` in the root folder of an ISO 9660 file system called `cidata`; null if that is not there. */
static char *iso_user_data(int fd, size_t *size) {
    unsigned char top[ISO_SECTOR];
    if (!exactly(fd, top, sizeof top, 16 * ISO_SECTOR) || memcmp(top + 1, "CD001", 5) || strncasecmp((char *)top + 40, "cidata", 6))
        return 0;
    uint32_t at = boot_u32((char *)top + 156 + 2), length = boot_u32((char *)top + 156 + 10);
    if (length > ISO_MOST)
        return 0;
    unsigned char *rows = malloc(length + 1);
    char *found = 0;
    if (rows && exactly(fd, rows, length, (uint64_t)at * ISO_SECTOR))
        for (uint32_t i = 0; i + 34 <= length && !found;) {
            char name[256] = "";
            unsigned char *row = rows + i;
            if (!row[0]) { /* a record doesn't cross sectors */
                i = (i / ISO_SECTOR + 1) * ISO_SECTOR;
                continue;
            }
            if (row[0] < 34 || row[0] > length - i || 33 + row[32] > row[0])
                break;
            iso_name(row, name, sizeof name);
            *size = boot_u32((char *)row + 10);
            if ((!strcasecmp(name, "user-data") || !strcasecmp(name, "USER_DAT")) && *size <= 2 * BOOT_MOST) {
                found = malloc(*size + 1);
                if (found && !exactly(fd, found, *size, (uint64_t)boot_u32((char *)row + 2) * ISO_SECTOR))
                    free(found), found = 0;
            }
            i += row[0];
        }
    free(rows);
    return found;
}

/* A disk that begins with a record, or is called `cidata`. A disk that the guest may write to isn't believed. */
static const char *from_disk(struct boot *b, const char *name, const char *skip, int plain, int cloud) {
    char path[300], text[16];
    snprintf(path, sizeof path, "/sys/block/%s/ro", name);
    if (slurp(path, text, sizeof text) <= 0 || text[0] != '1')
        return 0;
    snprintf(path, sizeof path, "/dev/%s", name);
    int fd = skip && !strcmp(skip, path) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    char head[BOOT_HEAD], *data = 0;
    size_t size = exactly(fd, head, sizeof head, 0) ? boot_size(head, sizeof head) : 0;
    const char *wrong = 0;
    if (size && plain) {
        data = malloc(size);
        wrong = data && exactly(fd, data, size, 0) ? given(b, data, size) : "a boot record that is cut short";
    } else if (!size && cloud && (data = iso_user_data(fd, &size))) {
        if (size > 11 && (boot_size(data, size) || !memcmp(data, "T1NMRVRCVDE", 10)))
            wrong = given(b, data, size); /* else it is for somebody else: cloud-init's own words */
    }
    close(fd);
    return wrong;
}

static const char *from_disks(struct boot *b) {
    struct dirent **names = 0;
    const char *wrong = 0, *root_disk = word("oslet.root");
    int plain = allowed("disk"), cloud = allowed("nocloud");
    int count = plain || cloud ? scandir("/sys/block", &names, 0, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        if (!wrong && names[i]->d_name[0] != '.')
            wrong = from_disk(b, names[i]->d_name, root_disk, plain, cloud);
        free(names[i]);
    }
    free(names);
    return wrong;
}

/* All of them, each over the ones before it; `place` names the one that is wrong. */
static const char *records(struct boot *b, const char **place) {
    static const struct { const char *name; const char *(*from)(struct boot *); } all[] = {
        {"initramfs", from_initramfs}, {"fw_cfg", from_fw_cfg}, {"cmdline", from_cmdline}, {"disk", from_disks},
    };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        *place = all[i].name;
        const char *wrong = i == 3 || allowed(*place) ? all[i].from(b) : 0;
        if (wrong)
            return wrong;
    }
    return 0;
}
