/* The shim's other use: one command in a running guest, asked of that guest's shim at its socket. Included by shim.c. */
enum { CHANNEL = 2 };

static struct stream asked;
static int command_code = -1;

static void command_take(struct stream *s, struct head head, char *data) {
    (void)s;
    if ((head.type == OUT || head.type == ERR) && head.length)
        buffer_add(&out[head.type == ERR], data, head.length);
    if (head.type == CREDIT)
        credit += frame_number(head, data, 1);
    if (head.type == ERROR && head.length > 8)
        say("oslet: %.*s", (int)(head.length - 8), data + 8);
    if (head.type == EXIT || head.type == ERROR)
        command_code = frame_number(head, data, 0) & 255;
}

static void command_signals(void) {
    for (uint32_t number = 1; number < 65; number++) {
        if (!pending[number] || number == SIGCHLD)
            continue;
        pending[number] = 0;
        struct winsize size = {0};
        if (number != SIGWINCH)
            frame_send(&asked, SIGNAL, CHANNEL, &number, 4);
        else if (!ioctl(0, TIOCGWINSZ, &size))
            frame_send(&asked, SIZE, CHANNEL, (uint32_t[2]){size.ws_row, size.ws_col}, 8);
    }
}

static void command_turn(const sigset_t *during) {
    struct pollfd all[4] = {
        {asked.fd, POLLIN | (asked.out.have ? POLLOUT : 0), 0},
        {in_open && credit && asked.out.have < WINDOW ? 0 : -1, POLLIN, 0},
        {out[0].have ? 1 : -1, POLLOUT, 0},
        {out[1].have ? 2 : -1, POLLOUT, 0},
    };
    if (ppoll(all, 4, 0, during) < 0 && errno != EINTR)
        die("poll", "shim");
    if (all[0].revents & ~POLLOUT)
        stream_read(&asked, command_take);
    if (all[1].revents) {
        char data[PAGE];
        ssize_t got = read(0, data, credit < sizeof data ? credit : sizeof data);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) {
            frame_send(&asked, IN, CHANNEL, data, got > 0 ? got : 0);
            in_open = got > 0, credit -= got > 0 ? got : 0;
        }
    }
    for (int i = 0; i < 2; i++)
        if (all[2 + i].revents) {
            long sent = buffer_write(&out[i], i + 1, PAGE);
            if (sent < 0)
                leave(141); /* as SIGPIPE would have it */
            frame_send(&asked, CREDIT, CHANNEL, (uint32_t[2]){i ? ERR : OUT, sent}, 8);
        }
    hear_signals(during), command_signals();
    stream_write(&asked);
}

/* -t, -u UID:GID and -w FOLDER; the words after them, or after `--`. Null if they aren't so. */
static char **options(struct buffer *record, char **words) {
    for (; *words && **words == '-' && strcmp(*words, "--"); words++) {
        unsigned user[2];
        char rest;
        if (!strcmp(*words, "-t")) {
            tty = 1;
        } else if (!strcmp(*words, "-u") && words[1] && sscanf(words[1], "%u:%u%c", user, user + 1, &rest) == 2) {
            entry(record, BOOT_UID, user, 4), entry(record, BOOT_GID, user + 1, 4), words++;
        } else if (!strcmp(*words, "-w") && words[1]) {
            entry(record, BOOT_WORKDIR, words[1], strlen(words[1]) + 1), words++;
        } else {
            return 0;
        }
    }
    words += *words && !strcmp(*words, "--");
    return *words ? words : 0;
}

static int command(const char *verb, const char *path, char **words) {
    static const char *const verbs[] = {"exec", "read", "pack", "unpack", "apply", "restart"};
    uint32_t what = 0;
    sigset_t during;
    while (what < 6 && strcmp(verb, verbs[what]))
        what++;
    begin(&wanted);
    if ((what == PROGRAM || what == UNPACK) && (words = options(&wanted, words)) && what == PROGRAM)
        texts(&wanted, BOOT_ENV, environ);
    if (what == 6 || !words || (!words[0] && what < RESTART)) {
        dprintf(2, "oslet: shim %s: these arguments aren't its\n", verb);
        return 125;
    }
    if (what < APPLY)
        texts(&wanted, BOOT_ARG, words);
    end(&wanted);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    asked.room = -1, asked.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (asked.fd < 0 || connect(asked.fd, (struct sockaddr *)&a, sizeof a))
        die("the guest can't be reached", path);
    fcntl(asked.fd, F_SETFL, O_NONBLOCK);
    prepare(&during);
    if (tty)
        become_raw();
    if (what < APPLY)
        pieces(&asked, CHANNEL, wanted.at, wanted.have);
    for (; what >= APPLY && *words; words++)
        record_file(&asked, *words, 1);
    in_open = what == PROGRAM || what == UNPACK;
    ask(&asked, CHANNEL, what);
    while (!asked.failed && command_code < 0)
        command_turn(&during);
    flush();
    restore();
    if (command_code < 0)
        dprintf(2, "oslet: the guest ended before the command did\n");
    return command_code < 0 ? LOST : command_code;
}
