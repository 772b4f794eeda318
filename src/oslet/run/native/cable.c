/* The cable: gives a program one end of a pair of sockets for a packet socket, which QEMU does not take.
 *
 *     cable PROGRAM ARGUMENTS…
 *
 * Descriptor 4 is a packet(7) socket bound to a link, or there is none. The program has one end of a pair in its place, a
 * frame a message; a process of its own holds the rest, and ends when the program has closed its end. Frames are no
 * longer than the link's MTU and have whole checksums, since whoever is at its other end leaves them to nobody.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINK = 4, PAIR = 5, FRAME = 65536, TURN = 64, ROOM = 1 << 20 };

static char frame[FRAME];

/* At most TURN frames from one socket to the other; whether there may be more to come. A frame that there is no room for
 * is lost, as on any cable. No frame is empty: that is the pair's end. */
static int carry(int from, int to) {
    for (int i = 0; i < TURN; i++) {
        ssize_t size = recv(from, frame, sizeof frame, MSG_DONTWAIT);
        if (size < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENETDOWN;
        if (size == 0 || (send(to, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE))
            return 0;
    }
    return 1;
}

static void relay(void) {
    struct pollfd ends[] = {{LINK, POLLIN, 0}, {PAIR, POLLIN, 0}};
    while (poll(ends, 2, -1) >= 0 || errno == EINTR)
        for (int i = 0; i < 2; i++)
            if (ends[i].revents && !carry(ends[i].fd, ends[!i].fd))
                return;
}

int main(int count, char **words) {
    int pair[2], room = ROOM, domain;
    socklen_t size = sizeof domain;
    if (count < 2)
        return 125;
    if (getsockopt(LINK, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_PACKET) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
            return perror("socketpair"), 125;
        for (int i = 0; i < 2; i++)
            setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        pid_t child = fork();
        if (child < 0)
            return perror("fork"), 125;
        if (child == 0) {
            signal(SIGINT, SIG_IGN), signal(SIGTERM, SIG_IGN); /* it ends with the program */
            dup2(pair[1], PAIR);
            for (int fd = 0; fd < 3; fd++)
                close(fd); /* a console has no more readers and writers than it knows of */
            close(3), syscall(SYS_close_range, PAIR + 1, ~0U, 0);
            relay();
            _exit(0);
        }
        dup2(pair[0], LINK), close(pair[0]), close(pair[1]);
    }
    execv(words[1], words + 1);
    perror(words[1]);
    return errno == ENOENT ? 127 : 126;
}
