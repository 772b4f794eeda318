/* What a program in a slot hears from the supervisor: one message, which says what to become. docs/slots.md has it.
 *
 * Shared by the stub, which becomes that, and the shim, whose guest does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL = 3, SELF = 4, MAGIC = 0x314c534f, MOST = 4 << 20, MANY = 1 << 16 };
/* flags: open a terminal of the instance's own; leave the socket to the program; what follows are Landlock's rules; one
 * more descriptor came, which is the program's */
enum { TERMINAL = 1, WARM = 2, LOCKED = 4, CARRIED = 8 };

struct header {
    uint32_t magic, length, arguments, variables, flags;
};

static void fail(int code) {
    uint32_t said = code;
    if (send(CONTROL, &said, sizeof said, MSG_NOSIGNAL) < 0)
        _exit(125);
    _exit(code == ENOENT ? 127 : 126);
}

/* Bytes until `size` are there. The number of descriptors that came with the first of them, `most` or fewer, in `fds`;
 * the kernel closes those beyond, and those that come later. */
static int receive(void *into, size_t size, int *fds, int most) {
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(4 * sizeof(int))];
    int count = 0;
    for (size_t have = 0; have < size;) {
        struct iovec part = {(char *)into + have, size - have};
        /* CMSG_LEN: in CMSG_SPACE, which is rounded up, the kernel would find room for one more. */
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = most ? room : 0,
                                 .msg_controllen = most ? CMSG_LEN(most * sizeof(int)) : 0};
        ssize_t got = recvmsg(CONTROL, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            _exit(125);
        struct cmsghdr *c = most ? CMSG_FIRSTHDR(&message) : 0;
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), count * sizeof(int));
        }
        if (message.msg_flags & MSG_CTRUNC)
            fail(EBADMSG);
        most = 0;
        have += got;
    }
    return count;
}

static void give(int fd) {
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
    char byte = 't';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(CONTROL, &message, MSG_NOSIGNAL) < 0)
        _exit(125);
}

/* A terminal from the instance's own devpts, as its controlling one; the other end goes to the supervisor. */
static int terminal(void) {
    int unlock = 0, ours = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ours < 0 || ioctl(ours, TIOCSPTLCK, &unlock))
        fail(errno);
    int theirs = ioctl(ours, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (theirs < 0)
        fail(errno);
    setsid(); /* a runtime that did so already makes this fail, and the next line is what matters */
    if (ioctl(theirs, TIOCSCTTY, 0))
        fail(errno);
    give(ours);
    close(ours);
    return theirs;
}

/* `count` strings from `at` on, as execve wants them; where they end. */
static char *strings(char *at, char *end, char **list, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        char *next = at < end ? memchr(at, 0, end - at) : 0;
        if (!next)
            fail(EBADMSG);
        list[i] = at;
        at = next + 1;
    }
    list[count] = 0;
    return at;
}

struct told {
    char *folder, **words, **env, *at, *end; /* `at`: Landlock's rules, where `flags` say so */
    uint32_t flags;
};

/* The message, and the descriptors that came with it as 0, 1, 2 and perhaps 4. Ends where it isn't one. */
static void hear(struct told *told) {
    struct header head;
    int fds[4];
    int given = receive(&head, sizeof head, fds, 4);
    if (head.magic != MAGIC || head.length > MOST || head.arguments < 1 || head.arguments > MANY || head.variables > MANY)
        fail(EBADMSG);
    int carried = !!(head.flags & CARRIED);
    if (head.flags & ~(TERMINAL | WARM | LOCKED | CARRIED) || given != (head.flags & TERMINAL ? 0 : 3) + carried)
        fail(EBADMSG);
    char *text = malloc(head.length), *end = text + head.length, *folder[2];
    char **words = calloc(head.arguments + 1, sizeof *words), **env = calloc(head.variables + 1, sizeof *env);
    if (!text || !words || !env)
        fail(ENOMEM);
    receive(text, head.length, 0, 0);
    char *at = strings(text, end, folder, 1);
    at = strings(at, end, words, head.arguments);
    at = strings(at, end, env, head.variables);
    if (at != end && !(head.flags & LOCKED))
        fail(EBADMSG);
    if (head.flags & TERMINAL) {
        fds[3] = fds[0];
        fds[0] = fds[1] = fds[2] = terminal();
    }
    for (int i = 0; i < 3 + carried; i++) /* out of the way of 0 to 2, which may have been closed */
        if (fds[i] < CONTROL && (fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SELF)) < 0)
            fail(errno);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            fail(errno);
    if (carried && (fds[3] == SELF ? fcntl(SELF, F_SETFD, 0) : dup2(fds[3], SELF)) < 0)
        fail(errno);
    *told = (struct told){folder[0], words, env, at, end, head.flags};
}
