/* The cable: frames between the packet socket that the shim has as 4 (packet(7)) and the VMM, which takes datagrams of a
 * socket pair: QEMU's netdev knows no packet socket. A frame that one side has no room for waits, and so do those behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 32, FRAME_ROOM = 65536 };

static int cable[2] = {-1, -1};
static struct {
    char frame[FRAME_ROOM];
    ssize_t size; /* of the frame that waits for room at the other side; 0 if none does */
} crossing[2];

/* Have the VMM's end at `number`, where the packet socket was. */
static int cable_lay(int number) {
    int pair[2];
    if ((cable[0] = fcntl(number, F_DUPFD_CLOEXEC, number + 2)) < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) || dup2(pair[0], number) < 0)
        return -1;
    close(pair[0]);
    return (cable[1] = pair[1]) < 0 ? -1 : 0;
}

static struct pollfd cable_poll(int side) {
    return (struct pollfd){cable[side], (crossing[side].size ? 0 : POLLIN) | (crossing[!side].size ? POLLOUT : 0), 0};
}

static void cable_carry(int from) {
    for (int count = 0; count < AT_ONCE; count++) {
        ssize_t *size = &crossing[from].size;
        if (!*size && (*size = recv(cable[from], crossing[from].frame, FRAME_ROOM, MSG_DONTWAIT)) <= 0) {
            *size = 0;
            return;
        }
        if (send(cable[!from], crossing[from].frame, *size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return;
        *size = 0; /* sent, or lost, as on any wire */
    }
}
