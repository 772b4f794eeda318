/* The shim: runs a VMM, and is for its host what the application in the guest would be. docs/guest.md has its protocol.
 *
 *     shim PLACE [-- ARGUMENTS…]                             the application; without arguments, told on descriptor 3
 *     shim exec SOCKET [-t] [-u UID:GID] [-w FOLDER] -- ARGUMENTS…  one more command in the guest
 *     shim read|pack|unpack|apply|restart SOCKET PATH…       files of it; a boot record (PATH) for it; another start
 *
 * PLACE/vmm holds the VMM's words; those before the first with a slash that are NAME=VALUE are its environment. Its
 * descriptors are 5, the stream, and 4, which is passed on. Its console is read line by line. What this program writes
 * for others is written when poll(2) says that it can be, a page at a time: no reader blocks another.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BOOT_WRITER
#include "boot.h"
#include "frames.h"
#include "relay.h"
#include "slot.h"

enum { LOST = 70, CLIENTS = 62, NETWORK = 4 /* and the stub's SELF */, AGENT = 5, PAGE = 4096, LINES = 24, LINE = 512, GRACE = 5000 };

static const char *place;
static struct stream guest;
static struct buffer out[2];    /* for 1 and 2 */
static uint32_t credit = WINDOW; /* of input */
static int in_open = 1, ended = -1, state = BOOTING, greeted, started, held, restored, tty, vsock = -1, door = -1, console = -1;
static pid_t vmm;
static int64_t until; /* when the VMM is killed for not ending by itself */
static struct termios before;
static struct buffer wanted; /* of a stub's message, or the command line: a boot record */
static char lines[LINES][LINE];
static int line_count, line_have;
static char panic[LINE];
static volatile sig_atomic_t pending[65];

static struct client {
    struct stream stream;
    int channel, closing;
} *clients[CLIENTS];

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void restore(void) {
    if (tty > 1)
        tcsetattr(0, TCSANOW, &before);
}

static _Noreturn void leave(int code) {
    restore();
    if (vmm > 0)
        kill(-vmm, SIGKILL);
    _exit(code);
}

/* The stub's supervisor hears an errno where the program isn't started. */
static int told_off(uint32_t number, int code) {
    return send(CONTROL, &number, sizeof number, MSG_NOSIGNAL) < 0 ? 125 : code;
}

static void say(const char *format, ...) {
    char text[2 * LINE];
    va_list rest;
    va_start(rest, format);
    int size = vsnprintf(text, sizeof text - 2, format, rest);
    va_end(rest);
    size = size > (int)sizeof text - 3 ? (int)sizeof text - 3 : size;
    memcpy(text + size, tty > 1 ? "\r\n" : "\n", 3);
    buffer_add(&out[1], text, strlen(text));
}

static _Noreturn void die(const char *what, const char *which) {
    dprintf(2, "oslet: %s: %s: %s\n", which, what, strerror(errno));
    leave(held ? told_off(errno, 125) : 125);
}

/* --- boot records --------------------------------------------------------------------------------------------------- */

static void entry(struct buffer *record, int tag, const void *data, size_t size) {
    uint16_t kind = tag;
    uint32_t length = size;
    buffer_add(record, &kind, 2), buffer_add(record, &length, 4), buffer_add(record, data, size);
}

static void texts(struct buffer *record, int tag, char **list) {
    for (; list && *list; list++)
        if (tag != BOOT_ENV || (strchr(*list, '=') && **list != '='))
            entry(record, tag, *list, strlen(*list) + 1);
}

static void begin(struct buffer *record) {
    record->have = 0;
    buffer_add(record, BOOT_MAGIC "\0\0\0\0\0\0\0\0", BOOT_HEAD);
}

static void end(struct buffer *record) {
    uint32_t head[2] = {record->have - BOOT_HEAD, boot_crc((unsigned char *)record->at + BOOT_HEAD, record->have - BOOT_HEAD)};
    memcpy(record->at + 8, head, sizeof head);
}

static void pieces(struct stream *to, int channel, const char *data, size_t size) {
    for (size_t at = 0, part; at < size; at += part) {
        part = size - at < FRAME_MOST ? size - at : FRAME_MOST;
        frame_send(to, RECORD, channel, data + at, part);
    }
}

/* A file of PLACE that holds a record, as it is. */
static void record_file(struct stream *to, const char *path, int must) {
    char data[FRAME_MOST];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && must)
        die("it can't be read", path);
    for (ssize_t got; fd >= 0 && (got = read(fd, data, sizeof data)) > 0;)
        frame_send(to, RECORD, APPLICATION, data, got);
    if (fd >= 0)
        close(fd);
}

static void ask(struct stream *to, int channel, uint32_t what) {
    struct winsize size = {0};
    if (tty)
        ioctl(0, TIOCGWINSZ, &size);
    uint32_t words[4] = {what, tty ? TTY : 0, size.ws_row, size.ws_col};
    frame_send(to, RUN, channel, words, sizeof words);
}

static char *path_of(const char *name) {
    static char path[2][sizeof(((struct sockaddr_un *)0)->sun_path)];
    static int turn;
    turn = !turn;
    if (snprintf(path[turn], sizeof path[0], "%s/%s", place, name) >= (int)sizeof path[0])
        errno = ENAMETOOLONG, die("the path is too long", place);
    return path[turn];
}

#include "vmm.h"

/* --- the application ------------------------------------------------------------------------------------------------ */

static void become_raw(void) {
    struct termios raw;
    if (!isatty(0) || tcgetattr(0, &before))
        return;
    tty = 2, raw = before;
    cfmakeraw(&raw);
    tcsetattr(0, TCSANOW, &raw);
}

/* It waits: it is told what it is to be, when this program knows that. */
static void start(void) {
    if (held) {
        struct told told;
        hear(&told);
        begin(&wanted), texts(&wanted, BOOT_ARG, told.words), texts(&wanted, BOOT_ENV, told.env), end(&wanted);
    }
    become_raw();
    record_file(&guest, path_of("start"), 0);
    pieces(&guest, APPLICATION, wanted.at, wanted.have);
    ask(&guest, APPLICATION, PROGRAM);
    started = 1;
}

static void waits(void) {
    static int told;
    if (state != WAITING || started)
        return;
    if (!held)
        return start();
    if (!told++ && send(CONTROL, "w", 1, MSG_NOSIGNAL) < 0)
        leave(125);
}

static void greet(void) {
    greeted = 1;
    if (started || restored)
        return;
    record_file(&guest, path_of("setup"), 0);
    ask(&guest, APPLICATION, SETTLE);
}

static void fell(struct head head, const char *data) {
    int failed = frame_number(head, data, 0), number = frame_number(head, data, 1);
    if (head.length > 8)
        say("oslet: %.*s", (int)(head.length - 8 < LINE ? head.length - 8 : LINE), data + 8);
    ended = failed & 255;
    until = now() + GRACE;
    frame_send(&guest, POWEROFF, 0, 0, 0);
    if (held)
        flush(), told_off(number ? number : EIO, 0), close(CONTROL), held = 0;
}

static void take_application(struct head head, const char *data) {
    uint32_t first = frame_number(head, data, 0), second = frame_number(head, data, 1);
    if ((head.type == OUT || head.type == ERR) && out[head.type == ERR].have < 4 * WINDOW)
        buffer_add(&out[head.type == ERR], data, head.length);
    if (head.type == CREDIT && first == IN)
        credit += second <= WINDOW - credit ? second : 0;
    if (head.type == STARTED) {
        state = RUNNING;
        if (held)
            close(CONTROL), held = 0;
    }
    if (head.type == ERROR)
        fell(head, data);
    if (head.type == EXIT) {
        ended = first & 255, until = now() + GRACE;
        frame_send(&guest, POWEROFF, 0, 0, 0);
    }
}

#include "clients.h"
#include "signals.h"

/* --- the loop ------------------------------------------------------------------------------------------------------- */

/* What has come since the last turn: ppoll lets no signal through while it has something else to tell. */
static void hear_signals(const sigset_t *during) {
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, during, &blocked), sigprocmask(SIG_SETMASK, &blocked, 0);
}

static void read_input(void) {
    char data[PAGE];
    ssize_t got = read(0, data, credit < sizeof data ? credit : sizeof data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    frame_send(&guest, IN, APPLICATION, data, got > 0 ? got : 0);
    in_open = got > 0, credit -= got > 0 ? got : 0;
}

static void write_out(int i) {
    long sent = buffer_write(&out[i], i + 1, PAGE);
    if (sent < 0)
        sent = out[i].have, buffer_drop(&out[i], sent); /* nobody reads it: the application isn't to wait for them */
    uint32_t both[2] = {i ? ERR : OUT, sent};
    if (sent > 0)
        frame_send(&guest, CREDIT, APPLICATION, both, sizeof both);
}

static void turn(const sigset_t *during) {
    struct pollfd all[10 + CLIENTS] = {
        {guest.fd, POLLIN | (guest.out.have && guest.room ? POLLOUT : 0), 0},
        {console, POLLIN, 0},
        {state != RUNNING || guest.out.have > 4 * WINDOW ? -1 : door, POLLIN, 0},
        {vsock, POLLIN, 0},
        {started && in_open && credit && ended < 0 ? 0 : -1, POLLIN, 0},
        {out[0].have ? 1 : -1, POLLOUT, 0},
        {out[1].have ? 2 : -1, POLLOUT, 0},
        {held && state == WAITING && !started ? CONTROL : -1, POLLIN, 0},
    };
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = clients[i];
        all[8 + i] = (struct pollfd){c ? c->stream.fd : -1, 0, 0};
        if (c)
            all[8 + i].events = (guest.out.have < 4 * WINDOW && !c->closing ? POLLIN : 0) | (c->stream.out.have ? POLLOUT : 0);
    }
    all[8 + CLIENTS] = cable_poll(0), all[9 + CLIENTS] = cable_poll(1);
    int64_t left = ended >= 0 && vmm ? until - now() : -1;
    struct timespec wait = {left / 1000, left % 1000 * 1000000};
    if (ppoll(all, 10 + CLIENTS, left < 0 ? 0 : &wait, during) < 0 && errno != EINTR)
        die("poll", "shim");
    for (int side = 0; side < 2; side++)
        if (all[8 + CLIENTS].revents | all[9 + CLIENTS].revents)
            cable_carry(side);
    if (all[1].revents)
        read_console();
    if (all[0].revents & ~POLLOUT)
        stream_read(&guest, take);
    if (all[2].revents)
        client_new();
    if (all[3].revents) {
        int fd = accept4(vsock, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 && guest.fd >= 0)
            close(guest.fd);
        if (fd >= 0)
            guest.fd = fd, guest.room = -1, guest.failed = 0, guest.have = 0, guest.out.have = 0;
    }
    if (all[4].revents)
        read_input();
    for (int i = 0; i < 2; i++)
        if (all[5 + i].revents)
            write_out(i);
    if (all[7].revents)
        start();
    for (int i = 0; i < CLIENTS; i++) {
        if (!clients[i])
            continue;
        struct stream *s = &clients[i]->stream;
        if (s->fd >= 0 && all[8 + i].fd == s->fd && all[8 + i].revents & POLLIN)
            stream_read(s, client_take);
        else if (s->fd >= 0 && all[8 + i].fd == s->fd && all[8 + i].revents & (POLLHUP | POLLERR))
            s->failed = 1;
        if (s->fd >= 0)
            stream_write(s);
        if (clients[i]->closing == 2 && (!s->out.have || s->failed))
            client_free(i);
        else if (s->failed && clients[i]->closing < 2)
            client_gone(clients[i]);
    }
    hear_signals(during), signals();
    if (guest.fd >= 0)
        stream_write(&guest);
    if (guest.failed && guest.fd >= 0)
        close(guest.fd), guest.fd = -1, guest.have = 0;
}

static void application(char **words) {
    int pair[2], pipe_[2], null, cabled = fcntl(NETWORK, F_GETFD) >= 0;
    sigset_t during;
    while ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && null <= AGENT)
        ; /* 3 to 5 are what they are said to be, or nothing */
    prepare(&during);
    begin(&wanted), texts(&wanted, BOOT_ARG, words), texts(&wanted, BOOT_ENV, environ), end(&wanted);
    restored = !access(path_of("restored"), F_OK);
    door = listen_at("agent"), vsock = listen_at("vsock_1024");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || pipe2(pipe_, O_CLOEXEC))
        die("no socket or pipe can be had", "shim");
    fcntl(pair[0], F_SETFL, O_NONBLOCK), fcntl(pipe_[0], F_SETFL, O_NONBLOCK);
    guest.fd = pair[0], guest.room = -1, console = pipe_[0];
    if (cabled && cable_lay(NETWORK))
        die("the cable can't be laid", "network");
    run_vmm(pair[1], pipe_[1]);
    close(pair[1]), close(pipe_[1]);
    close(NETWORK); /* the VMM's alone */
    if (restored)
        frame_numbers(&guest, HELLO, 0, FRAMES_MAGIC, FRAMES_VERSION, 0);
    while (ended < 0 || vmm)
        turn(&during);
    flush();
    leave(ended);
}

#include "client.h"

int main(int count, char **words) {
    if (count > 2 && strcmp(words[1], "--") && words[1][0] != '/')
        return command(words[1], words[2], words + 3);
    if (count < 2 || (count > 2 && strcmp(words[2], "--")) || count == 3) {
        dprintf(2, "usage: shim PLACE [-- ARGUMENTS…]\n       shim exec|read|pack|unpack|apply|restart SOCKET …\n");
        return 125;
    }
    place = words[1], held = count == 2;
    application(held ? 0 : words + 3);
}
