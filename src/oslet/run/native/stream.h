/* The stream to the host: found, opened, greeted over. Included by init.c alone. */
static int vsock(unsigned port) {
    struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to))
        shut(&fd);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* The port that is called as ours, where the command line names none. */
static char *port(void) {
    static char path[300];
    char *found = 0;
    DIR *all = opendir("/sys/class/virtio-ports");
    for (struct dirent *each; all && !found && (each = readdir(all));) {
        char name[64];
        snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", each->d_name);
        if (slurp(path, name, sizeof name) > 0 && !strcmp(name, "org.oslet.agent"))
            snprintf(path, sizeof path, "/dev/%s", each->d_name), found = path;
    }
    if (all)
        closedir(all);
    return found;
}

/* A terminal's buffer has 4096 bytes, and user-mode Linux never reads its line again once that was full: line_throttle()
 * in arch/um/drivers/line.c takes the descriptor out of its epoll set, and nothing puts it back. */
static void hello(void) {
    uint32_t all[] = {FRAMES_MAGIC, FRAMES_VERSION, state, serial ? ROOM : -1};
    frame_send(&stream, HELLO, 0, all, sizeof all);
}

/* Opens the stream; a serial line must not be edited on its way. */
static void connect_agent(void) {
    if (!agent)
        return;
    if (!strncmp(agent, "vsock:", 6))
        stream.fd = vsock(strtoul(agent + 6, 0, 10));
    else if (appears(agent))
        stream.fd = open(agent, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (stream.fd < 0)
        return;
    stream.room = -1;
    struct termios raw;
    if (!tcgetattr(stream.fd, &raw)) {
        cfmakeraw(&raw);
        raw.c_cflag |= CLOCAL | CREAD;
        tcsetattr(stream.fd, TCSANOW, &raw);
        serial = 1;
    }
    stream.failed = 0, stream.have = 0, stream.out.have = 0;
    hello();
}
