/* The keeper: holds what must outlive the supervisor. docs/slots.md has its protocol.
 *
 *     keeper FOLDER own|user READY GO -- SUPERVISOR ARGUMENTS…
 *
 * In namespaces of its own (mounts; as an ordinary user, ids too) it listens on FOLDER/socket and starts the supervisor
 * when somebody connects. Instances are reaped by it, so no exit code is lost with a supervisor; descriptors that the
 * supervisor gives it outlive that one. A supervisor that ends well with nothing kept ends the keeper; one that is
 * killed is started again. READY gets a byte when the ids are to be mapped and when it listens; GO is read between.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PLACE "/sys/fs/cgroup" /* every machine has it, and crun must not see a hybrid hierarchy there */

enum { NAME = 96, CONTROL = 3, LISTENING = 4 };

static struct kept {
    char name[NAME];
    int fd;
} *kept;
static int count, room, listening, control = -1, signals;
static pid_t supervisor, told;
static char **command;
static time_t began;

static void die(const char *what) {
    fprintf(stderr, "keeper: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void say(int fd, const char *name, int kind, int given) {
    char text[NAME + 1], space[CMSG_SPACE(sizeof(int))] = {0};
    text[0] = kind;
    size_t length = 1 + (size_t)snprintf(text + 1, NAME, "%s", name);
    struct iovec part = {text, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (given >= 0) {
        message.msg_control = space, message.msg_controllen = sizeof space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &given, sizeof given);
    }
    sendmsg(fd, &message, MSG_NOSIGNAL); /* a supervisor that is gone is noticed as a child */
}

static void drop(const char *name) {
    for (int i = 0; i < count; i++)
        if (!strcmp(kept[i].name, name)) {
            close(kept[i].fd);
            kept[i] = kept[--count];
            return;
        }
}

static void keep(const char *name, int fd) {
    drop(name);
    if (count == room && !(kept = realloc(kept, (room = room ? 2 * room : 64) * sizeof *kept)))
        die("memory");
    snprintf(kept[count].name, NAME, "%s", name);
    kept[count++].fd = fd;
}

/* Start a supervisor, and give it everything that is kept. */
static void launch(void) {
    int pair[2];
    if (time(0) - began < 1)
        usleep(200000); /* one that can't live isn't started more often */
    began = time(0);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        die("socketpair");
    supervisor = fork();
    if (!supervisor) {
        int a = fcntl(pair[1], F_DUPFD, 16), b = fcntl(listening, F_DUPFD, 16);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, 0);
        dup2(a, CONTROL), dup2(b, LISTENING), close(a), close(b);
        execv(command[0], command);
        _exit(126);
    }
    close(pair[1]);
    control = pair[0], told = 0;
    for (int i = 0; i < count; i++)
        say(control, kept[i].name, 'K', kept[i].fd);
    say(control, "", 'G', -1);
}

static int waiting(void) {
    struct pollfd p = {listening, POLLIN, 0};
    return poll(&p, 1, 0) > 0;
}

/* The supervisor has ended; well, or not. */
static void ended(int well) {
    supervisor = 0;
    close(control), control = -1;
    if (waiting() || (count && !well))
        launch();
    else if (!count) {
        unlink("socket");
        exit(0);
    }
}

/* Tell of one child that has ended; it is reaped once the supervisor has written that down. */
static void bury(void) {
    siginfo_t info = {0};
    char text[64];
    while (!told && !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid) {
        if (info.si_pid == supervisor) {
            waitpid(supervisor, 0, 0);
            ended(info.si_code == CLD_EXITED && !info.si_status);
        } else if (control < 0) {
            return;
        } else {
            told = info.si_pid;
            snprintf(text, sizeof text, "%d %d", told, info.si_status + (info.si_code == CLD_EXITED ? 0 : 128));
            say(control, text, 'E', -1);
        }
        info.si_pid = 0;
    }
}

/* While a child waits to be written down, the supervisor may end too: it is asked for by name. */
static void watch(void) {
    siginfo_t info = {0};
    if (supervisor && !waitid(P_PID, supervisor, &info, WEXITED | WNOHANG) && info.si_pid) {
        told = 0;
        ended(info.si_code == CLD_EXITED && !info.si_status);
    }
    bury();
}

static void hear(void) {
    char text[NAME + 1], space[CMSG_SPACE(sizeof(int))];
    struct iovec part = {text, NAME};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    ssize_t got = recvmsg(control, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got <= 0)
        return;
    text[got] = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (text[0] == 'K' && c && c->cmsg_type == SCM_RIGHTS) {
        int fd;
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        keep(text + 1, fd);
    } else if (text[0] == 'D') {
        drop(text + 1);
    } else if (text[0] == 'R' && atoi(text + 1) == told) {
        waitpid(told, 0, 0);
        told = 0;
        bury();
    }
}

static void enclose(int user, int ready, int go) {
    char byte;
    if (unshare(CLONE_NEWNS | (user ? CLONE_NEWUSER : 0)))
        die("a new namespace");
    if (write(ready, "r", 1) < 0 || read(go, &byte, 1) != 1)
        exit(1);
    if (mount(0, "/", 0, MS_REC | MS_SLAVE, 0))
        die("mounts of its own");
    int groups = syscall(SYS_open_tree, AT_FDCWD, PLACE, 1 | AT_RECURSIVE | O_CLOEXEC); /* OPEN_TREE_CLONE */
    if (mount("oslet", PLACE, "tmpfs", 0, "mode=0711,size=64m"))
        die("a tmpfs on " PLACE);
    mkdir(PLACE "/cgroup", 0755);
    if (groups >= 0)
        syscall(SYS_move_mount, groups, "", AT_FDCWD, PLACE "/cgroup", 4); /* MOVE_MOUNT_F_EMPTY_PATH */
    close(groups);
}

int main(int argc, char **argv) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
    struct rlimit files;
    sigset_t children;
    if (argc < 7 || chdir(argv[1]))
        die("FOLDER own|user READY GO -- SUPERVISOR ARGUMENTS…");
    int ready = atoi(argv[3]), go = atoi(argv[4]), user = !strcmp(argv[2], "user");
    command = argv + 6;
    int lock = open("keeper.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB))
        return 75; /* EX_TEMPFAIL: another one keeps this folder */
    fcntl(ready, F_SETFD, FD_CLOEXEC), fcntl(go, F_SETFD, FD_CLOEXEC);
    enclose(user, ready, go);
    if (fork())
        return 0; /* nobody's child but the machine's first process's */
    signal(SIGPIPE, SIG_IGN), signal(SIGHUP, SIG_IGN), signal(SIGINT, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "oslet-keeper");
    if (!getrlimit(RLIMIT_NOFILE, &files))
        files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
    unlink("socket");
    umask(0077);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&name, sizeof name) || listen(listening, 512))
        die("socket");
    umask(0022);
    sigemptyset(&children), sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, 0);
    signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    launch();
    if (write(ready, "l", 1) < 0)
        die("READY");
    close(ready), close(go);
    for (;;) {
        struct signalfd_siginfo news;
        struct pollfd p[3] = {{signals, POLLIN, 0}, {control, POLLIN, 0}, {supervisor ? -1 : listening, POLLIN, 0}};
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            die("poll");
        while (read(signals, &news, sizeof news) > 0)
            ;
        if (p[1].revents & POLLIN)
            hear();
        watch();
        if (!supervisor && (p[2].revents & POLLIN))
            launch();
    }
}
