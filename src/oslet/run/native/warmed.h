/* A warm Python in a held guest: init stands for the supervisor there. Included by init.c alone. */
enum { SLOT_MAGIC = 0x314c534f }; /* native/slot.h */
/* The warm Python is a child that waits on its descriptor 3, with its program as its standard input: native/warm.py. */
static void warm_up(void) {
    int pair[2], text[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct boot *b = &app->boot;
    if (!b->warm.count || warm >= 0 || app->running || null < 0)
        return;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || pipe2(text, O_CLOEXEC))
        return;
    fcntl(text[1], F_SETPIPE_SZ, b->program_size > 65536 ? (1 << 20) : 65536);
    fcntl(text[1], F_SETFL, O_NONBLOCK);
    if (write(text[1], b->program, b->program_size) != (ssize_t)b->program_size)
        return;
    close(text[1]);
    app->what = PROGRAM;
    app->pid = spawn(app);
    if (!app->pid) {
        int fds[4] = {text[0], null, null, pair[1]}, up = fcntl(null, F_DUPFD_CLOEXEC, 16);
        app->terminal = 0;
        child(app, fds, up);
    }
    close(text[0]), close(pair[1]), close(null);
    warm = pair[0], warm_ready = 0;
    app->running = app->pid > 0;
}

static void ready(void) {
    if (hold && !app->running) {
        state = WAITING;
        frame_send(&stream, READY, 0, 0, 0);
    }
}

/* It has imported what it will need, or has ended: then the application is started as any other. */
static void warm_said(void) {
    char byte;
    ssize_t got = read(warm, &byte, 1);
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0)
        shut(&warm), app->running = 0;
    else
        warm_ready = 1;
    state = WAITING;
    frame_send(&stream, READY, 0, 0, 0);
}

/* What a start will do, done once without effect by a clone that waits: its monitor has translated none of this yet, or
 * has none of the memory that it takes. A warm Python does the same when it is sent no words. */
static void rehearse(void) {
    static const uint32_t nothing[5] = {SLOT_MAGIC};
    struct boot_file file = {.path = "/.oslet-start", .data = "", .uid = app->boot.uid, .gid = app->boot.gid};
    char name[65];
    if (state != WAITING)
        return;
    if (!files(&(struct boot){.files = &file, .file_count = 1}))
        unlink(file.path);
    network(&app->boot, 1), entropy("", 0);
    if (!gethostname(name, sizeof name))
        sethostname(name, strlen(name));
    if (warm_ready)
        send(warm, nothing, sizeof nothing, MSG_NOSIGNAL);
}

/* As the supervisor does with the stub (docs/slots.md): one message, then the socket's end or an errno. 0 if it took. */
static int warm_take(void) {
    struct boot *b = &app->boot;
    int fds[4], ends = 0;
    struct buffer text = {0};
    if (pipes(app, fds, 0) < 0)
        return -1;
    buffer_add(&text, (uint32_t[5]){SLOT_MAGIC, 0, b->argv.count, b->env.count, 2}, 20);
    const char *folder_ = b->workdir ? b->workdir : "/";
    buffer_add(&text, folder_, strlen(folder_) + 1);
    for (uint32_t i = 0; i < b->argv.count; i++)
        buffer_add(&text, b->argv.list[i], strlen(b->argv.list[i]) + 1);
    for (uint32_t i = 0; i < b->env.count; i++)
        buffer_add(&text, b->env.list[i], strlen(b->env.list[i]) + 1);
    uint32_t length = text.have - 20;
    memcpy(text.at + 4, &length, 4);
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int[3]))] = {0};
    struct iovec part = {text.at, text.have};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof(int[3]));
    memcpy(CMSG_DATA(c), fds, sizeof(int[3]));
    ssize_t sent = sendmsg(warm, &message, MSG_NOSIGNAL);
    for (size_t at = sent < 0 ? text.have : sent; at < text.have; at += sent)
        if ((sent = send(warm, text.at + at, text.have - at, MSG_NOSIGNAL)) < 0)
            break;
    free(text.at);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    ends = heard(warm);
    warm = -1;
    if (ends) {
        refuse(APPLICATION, ends == ENOENT ? 127 : 126, ends, b->argv.list[0], 0);
        return ends;
    }
    frame_numbers(&stream, STARTED, APPLICATION, app->pid, 0, 0);
    return 0;
}
