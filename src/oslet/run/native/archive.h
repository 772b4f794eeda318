/* Files of a guest to and from its host: contents, and tar streams. Children of init, with the stream as 0 and 1. */
static int complain(const char *path) {
    dprintf(2, "%s: %s\n", path, strerror(errno));
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

/* Each file's content, or a folder's names, which end with a newline. */
static int read_files(struct words *paths) {
    char data[16 << 10];
    for (uint32_t i = 0; i < paths->count; i++) {
        int fd = open(paths->list[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        if (fd < 0 || fstat(fd, &st))
            return complain(paths->list[i]);
        if (S_ISDIR(st.st_mode)) {
            DIR *all = fdopendir(fd);
            for (struct dirent *each; all && (each = readdir(all));)
                if (strcmp(each->d_name, ".") && strcmp(each->d_name, "..") && (put(each->d_name, strlen(each->d_name)) || put("\n", 1)))
                    return 1;
            continue;
        }
        ssize_t got;
        while ((got = read(fd, data, sizeof data)) > 0)
            if (put(data, got))
                return 1;
        if (got < 0)
            return complain(paths->list[i]);
        close(fd);
    }
    return 0;
}

static int pack(struct words *paths) {
    return paths->count == 1 ? 1 : 125;
}

static int unpack(struct words *paths) {
    return paths->count == 1 ? 1 : 125;
}
