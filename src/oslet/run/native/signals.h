/* Signals: what the shim is sent goes to the guest. Included by shim.c alone. */
static void on_signal(int number) {
    pending[number] = 1;
}

static void signals(void) {
    for (int number = 1; number < 65; number++) {
        if (!pending[number])
            continue;
        pending[number] = 0;
        if (number == SIGWINCH && tty) {
            struct winsize size = {0};
            ioctl(0, TIOCGWINSZ, &size);
            uint32_t both[2] = {size.ws_row, size.ws_col};
            frame_send(&guest, SIZE, APPLICATION, both, sizeof both);
        } else if (number != SIGCHLD && number != SIGWINCH) {
            uint32_t which = number;
            if (started)
                frame_send(&guest, SIGNAL, APPLICATION, &which, 4);
            else if (number == SIGTERM || number == SIGINT)
                leave(128 + number);
        }
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == vmm) {
            vmm = 0;
            stream_read(&guest, take); /* what it said last */
            if (ended < 0)
                lost(status);
        }
    if (vmm && ended >= 0 && until <= now())
        kill(-vmm, SIGKILL);
}

static void prepare(sigset_t *during) {
    static const int relayed[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD};
    sigset_t blocked;
    sigemptyset(&blocked);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < sizeof relayed / sizeof *relayed; i++) {
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(relayed[i], &action, 0);
        sigaddset(&blocked, relayed[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, during);
    for (unsigned i = 0; i < sizeof relayed / sizeof *relayed; i++)
        sigdelset(during, relayed[i]);
}
