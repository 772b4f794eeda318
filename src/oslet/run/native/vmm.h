/* The VMM: its start, its console, and its end without a word. Included by shim.c alone. */
static int listen_at(const char *name) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, path_of(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(a.sun_path);
    umask(077);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 64))
        die("it can't be listened at", a.sun_path);
    umask(022);
    return fd;
}

/* One of the processors that we may use, by lot: who hands over to the other at each step wakes no other one for it. */
static void on_one_processor(void) {
    cpu_set_t all, one;
    unsigned lot = 0;
    if (sched_getaffinity(0, sizeof all, &all) || getrandom(&lot, sizeof lot, 0) != sizeof lot)
        return;
    int left = lot % CPU_COUNT(&all), each = 0;
    while (!CPU_ISSET(each, &all) || left--)
        each++;
    CPU_ZERO(&one), CPU_SET(each, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static void run_vmm(int stream, int lines_to) {
    static char text[64 << 10], *words[2048], *env[64];
    int fd = open(path_of("vmm"), O_RDONLY | O_CLOEXEC), count = 0, variables = 0, null = open("/dev/null", O_RDWR);
    ssize_t have = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (have <= 0)
        die("it can't be read", path_of("vmm"));
    for (char *at = text; at < text + have && count < 2047; at += strlen(at) + 1)
        if (!count && strchr(at, '=') && !memchr(at, '/', strcspn(at, "=")) && variables < 63)
            env[variables++] = at;
        else
            words[count++] = at;
    if (!count)
        errno = ENOENT, die("it names no program", path_of("vmm"));
    pid_t us = getpid();
    vmm = fork();
    if (vmm < 0)
        die("fork", "vmm");
    if (vmm)
        return;
    sigset_t none;
    sigemptyset(&none), sigprocmask(SIG_SETMASK, &none, 0);
    for (int i = 1; i < _NSIG; i++)
        signal(i, SIG_DFL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != us)
        _exit(125);
    /* out of each other's way first */
    stream = fcntl(stream, F_DUPFD, 16), lines_to = fcntl(lines_to, F_DUPFD, 16);
    dup2(null, 0), dup2(lines_to, 1), dup2(lines_to, 2), close(3), dup2(stream, AGENT);
    syscall(SYS_close_range, AGENT + 1, ~0U, 0);
    for (int i = 0; i < variables; i++)
        if (!strncmp(env[i], "ADDR_NO_RANDOMIZE=", 18))
            personality(ADDR_NO_RANDOMIZE); /* where that is refused it does without */
        else if (!strncmp(env[i], "ONE_PROCESSOR=", 14))
            on_one_processor();
    execve(words[0], words, env);
    dprintf(2, "oslet: %s: %s\n", words[0], strerror(errno));
    _exit(127);
}

static void console_line(char *text) {
    static const char mark[] = "Kernel panic - not syncing: ";
    char *at = strstr(text, mark);
    snprintf(lines[line_count++ % LINES], LINE, "%s", text);
    if (at)
        snprintf(panic, sizeof panic, "%s", at + sizeof mark - 1);
    if (greeted && ended < 0 && guest.fd >= 0 && strncmp(text, "oslet: ", 7))
        say("kernel: %s", text);
}

/* What a VMM writes, line by line, without what would move a terminal's cursor. How much there was; none at the end,
 * less than none if there is nothing yet. */
static ssize_t read_console(void) {
    static char line[LINE];
    char data[PAGE];
    ssize_t got = read(console, data, sizeof data);
    if (!got || (got < 0 && errno != EAGAIN && errno != EINTR))
        close(console), console = -1;
    for (ssize_t i = 0; i < got; i++) {
        int whole = data[i] == '\n' || line_have == LINE - 1;
        if (whole) {
            line[line_have] = 0, line_have = 0;
            if (line[0])
                console_line(line);
        }
        if ((unsigned char)data[i] >= ' ' || data[i] == '\t')
            line[line_have++] = data[i];
    }
    return got;
}

static void flush(void) {
    for (int i = 0; i < 2; i++)
        for (struct pollfd p = {i + 1, POLLOUT, 0}; out[i].have && poll(&p, 1, GRACE) > 0;)
            if (buffer_write(&out[i], i + 1, PAGE) < 0)
                out[i].have = 0;
}

/* The VMM is gone, and nobody said with which code the application ended. */
static _Noreturn void lost(int status) {
    while (console >= 0 && read_console() > 0)
        ;
    if (panic[0])
        say("oslet: the guest's kernel panicked: %s", panic);
    else if (!greeted && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        say("oslet: the VMM can't be started");
    else
        say("oslet: the guest ended without its application's exit code");
    int shown = line_count < LINES ? line_count : LINES;
    for (int i = line_count - (shown < 8 ? shown : 8); i < line_count; i++)
        say("  %s", lines[i % LINES]);
    flush();
    leave(held ? told_off(EIO, LOST) : LOST);
}
