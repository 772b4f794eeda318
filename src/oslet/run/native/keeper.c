/* The keeper: holds what must outlive the supervisor. docs/slots.md has its protocol.
 *
 *     keeper FOLDER own|user READY GO -- SUPERVISOR ARGUMENTS…
 *     keeper FOLDER heir CONTROL LISTENING -- SUPERVISOR ARGUMENTS…
 *
 * In namespaces of its own (mounts; as an ordinary user, ids too) it listens on FOLDER/socket and starts the supervisor
 * when somebody connects. Instances are reaped by it, so no exit code is lost with a supervisor; descriptors that the
 * supervisor gives it outlive that one. A supervisor that ends well with nothing kept ends the keeper; one that is
 * killed is started again. READY gets a byte when the ids are to be mapped and when it listens; GO is read between.
 * An heir is started by a supervisor whose keeper was killed: in its namespaces already, it takes over what was kept.
 *
 * It must not die, nor wait for anybody: what fails is tried again later or told on descriptor 2.
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

enum { NAME = 96, CONTROL = 3, LISTENING = 4, SPARE = 32 }; /* SPARE descriptors are never used up by what is kept */
enum { TRIES = 5, STEADY = 1000, PAUSE = 100, LONGEST = 10000 }; /* failed starts until clients are refused; ms */

static struct kept {
    char name[NAME];
    int fd;
} *kept;
static int count, room, handed, open_for_word, full, failures, wanted, most, listening, control = -1, signals;
static pid_t supervisor, told;
static int64_t alive, due; /* when the supervisor said that it lives; when another one may be started */
static char **command;

static void die(const char *what) {
    fprintf(stderr, "keeper: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* One message to the supervisor; 0, or -1 if it must be tried again or the supervisor is gone, which poll tells apart. */
static int say(const char *name, int kind, int given) {
    char text[NAME + 1];
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {0};
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
    if (sendmsg(control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 0;
    if (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM)
        usleep(5000); /* until some that are on their way have arrived: unix(7) */
    return -1;
}

static void drop(const char *name) {
    for (int i = 0; i < count; i++)
        if (!strcmp(kept[i].name, name)) {
            close(kept[i].fd);
            kept[i] = kept[--count];
            return;
        }
}

/* Room for one more is there before `drop` lets go of an older one of that name. */
static void keep(const char *name, int fd) {
    if (count == room) {
        struct kept *larger = realloc(kept, (room ? 2 * room : 64) * sizeof *kept);
        if (larger)
            kept = larger, room = room ? 2 * room : 64;
    }
    if (count == room || fd >= most + SPARE / 2) {
        dprintf(2, "keeper: no room to keep %s\n", name);
        close(fd);
        return;
    }
    drop(name);
    snprintf(kept[count].name, NAME, "%s", name);
    kept[count++].fd = fd;
}

/* Give a new supervisor everything that is kept, and a word how many that may become; as much as its socket takes. */
static void hand(void) {
    char text[16];
    while (handed < count && !say(kept[handed].name, 'K', kept[handed].fd))
        handed++;
    snprintf(text, sizeof text, "%d", most);
    if (handed == count)
        open_for_word = !say(text, 'G', -1);
}

/* When the next one may be started: at once after one that lived, and later each time after ones that couldn't. One that
 * said that it lives is no proof that none can be had. */
static void later(int failed) {
    failures = !failed ? 0 : alive && failures >= TRIES - 1 ? TRIES - 1 : failures + 1;
    int64_t pause = failures < 2 ? 0 : failures > 8 ? LONGEST : PAUSE << (failures - 2);
    due = now() + (pause < LONGEST ? pause : LONGEST);
}

static void launch(void) {
    int pair[2];
    alive = 0, told = 0, handed = 0, open_for_word = 0, full = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        perror("keeper: socketpair");
        return later(1);
    }
    supervisor = fork();
    if (!supervisor) {
        int a = fcntl(pair[1], F_DUPFD, 16), b = fcntl(listening, F_DUPFD, 16);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, 0);
        if (dup2(a, CONTROL) < 0 || dup2(b, LISTENING) < 0)
            _exit(126);
        close(a), close(b);
        execv(command[0], command);
        dprintf(2, "keeper: %s: %s\n", command[0], strerror(errno));
        _exit(126);
    }
    close(pair[1]);
    if (supervisor < 0) {
        perror("keeper: fork");
        close(pair[0]), supervisor = 0;
        return later(1);
    }
    control = pair[0], wanted = 0;
    hand();
}

static int waiting(void) {
    struct pollfd p = {listening, POLLIN, 0};
    return poll(&p, 1, 0) > 0;
}

/* No supervisor can be had, which whoever connects is to hear rather than wait. */
static void refuse(void) {
    for (int client; waiting() && (client = accept(listening, 0, 0)) >= 0;)
        close(client);
}

/* Nothing is left to do. Who connects after the last look finds no socket, and starts another keeper. */
static void leave(int code) {
    rename("socket", "socket.closed");
    if (!code && waiting()) {
        rename("socket.closed", "socket");
        return;
    }
    unlink("socket.closed");
    exit(code);
}

/* Tell of one child that has ended; it is reaped once the supervisor has written that down. */
static void bury(void) {
    siginfo_t info = {0};
    char text[64];
    if (!open_for_word || told || waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT))
        return;
    if (!info.si_pid || info.si_pid == supervisor)
        return;
    snprintf(text, sizeof text, "%d %d", info.si_pid, info.si_status + (info.si_code == CLD_EXITED ? 0 : 128));
    full = say(text, 'E', -1);
    if (!full)
        told = info.si_pid;
}

/* One message from the supervisor: whether there was one. At the end, errno is 0. */
static int hear(void) {
    char text[NAME + 1];
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))];
    struct iovec part = {text, NAME};
    /* CMSG_LEN: in CMSG_SPACE, which is rounded up, the kernel would find room for a second. */
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t got;
    do { /* ECONNRESET comes once, before what is left to read */
        errno = 0;
        got = recvmsg(control, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got <= 0)
        return 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    int fd = -1, whole = !(message.msg_flags & MSG_TRUNC) && !memchr(text, 0, got);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    text[got] = 0;
    if (text[0] == 'K' && fd >= 0 && whole)
        return keep(text + 1, fd), 1;
    if (fd >= 0)
        close(fd);
    if (text[0] == 'K')
        dprintf(2, "keeper: a descriptor is lost: %.40s\n", text + 1);
    else if (text[0] == 'D' && whole)
        drop(text + 1);
    else if (text[0] == 'A')
        alive = now();
    else if (text[0] == 'R' && told && atoi(text + 1) == told)
        waitpid(told, 0, 0), told = 0, bury();
    return 1;
}

/* Whether a child has ended that nobody wrote down. */
static int unburied(void) {
    siginfo_t info = {0};
    return !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

/* The supervisor has ended; well, or not. What it said before is heard first. */
static void ended(int well) {
    open_for_word = 0;
    while (control >= 0 && hear())
        ;
    close(control);
    control = -1, supervisor = 0, told = 0, handed = 0;
    later(!well && (!alive || now() - alive < STEADY));
    wanted = !well && (count || unburied());
    if (failures >= TRIES)
        refuse();
    struct stat here;
    if (failures >= TRIES && !stat(".", &here) && !here.st_nlink)
        leave(1); /* nor can anybody ever ask for what is kept: the folder was removed */
    if (!count && (failures >= TRIES || (!wanted && !waiting())))
        leave(failures >= TRIES);
}

static void watch(void) {
    siginfo_t info = {0};
    if (supervisor && !waitid(P_PID, supervisor, &info, WEXITED | WNOHANG) && info.si_pid)
        ended(info.si_code == CLD_EXITED && !info.si_status);
    bury();
}

static void control_ready(int events) {
    if (events & POLLOUT) {
        if (!open_for_word)
            hand();
        full = 0;
    }
    if (!(events & (POLLIN | POLLHUP | POLLERR)) || hear() || errno)
        return;
    if (!supervisor)
        return ended(0); /* the the one that started its heir */
    kill(supervisor, SIGKILL); /* it let go of its keeper, so the next one is to have what it had */
    close(control), control = -1, open_for_word = 0;
}

static void enclose(int user, int ready, int go) {
    char byte;
    if (unshare(CLONE_NEWNS | (user ? CLONE_NEWUSER : 0)))
        die("a new namespace");
    if (write(ready, "r", 1) < 0 || read(go, &byte, 1) != 1)
        exit(1);
    if (mount(0, "/", 0, MS_REC | MS_SLAVE, 0))
        die("mounts of its own");
    if (access(PLACE, F_OK)) /* no sysfs here */
        if (mount("oslet", "/sys", "tmpfs", 0, "mode=0755,size=1m") || mkdir("/sys/fs", 0755) || mkdir(PLACE, 0755))
            die("a place on /sys");
    int groups = syscall(SYS_open_tree, AT_FDCWD, PLACE, 1 | AT_RECURSIVE | O_CLOEXEC); /* OPEN_TREE_CLONE */
    if (mount("oslet", PLACE, "tmpfs", 0, "mode=0711,size=64m"))
        die("a tmpfs on " PLACE);
    if (mkdir(PLACE "/cgroup", 0755))
        die(PLACE "/cgroup");
    if (groups < 0 || syscall(SYS_move_mount, groups, "", AT_FDCWD, PLACE "/cgroup", 4)) /* MOVE_MOUNT_F_EMPTY_PATH */
        perror("keeper: no cgroups, so no limits");
    close(groups);
}

/* One keeper a folder. The lock of a keeper that was killed may outlive what its supervisor saw of it. */
static void alone(int patient) {
    int lock = open("keeper.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        die("keeper.lock");
    for (int tries = patient ? 200 : 1; flock(lock, LOCK_EX | LOCK_NB);)
        if (errno != EWOULDBLOCK || !--tries)
            exit(75); /* EX_TEMPFAIL: another one keeps this folder */
        else
            usleep(10000);
}

static void listens(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
    unlink("socket"), unlink("socket.closed");
    umask(0077);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *)&name, sizeof name) || listen(listening, 512))
        die("socket");
    umask(0022);
}

/* What it needs of descriptors, signals and children, whichever process started it. */
static void settle(void) {
    struct rlimit files;
    sigset_t children;
    for (int i = 1; i < _NSIG; i++)
        signal(i, i == SIGPIPE || i == SIGHUP || i == SIGINT ? SIG_IGN : SIG_DFL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "oslet-keeper");
    if (getrlimit(RLIMIT_NOFILE, &files))
        die("RLIMIT_NOFILE");
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files); /* instances get theirs from config.json */
    getrlimit(RLIMIT_NOFILE, &files);
    most = files.rlim_cur > INT32_MAX ? INT32_MAX - SPARE : (int)files.rlim_cur - SPARE;
    sigemptyset(&children), sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_SETMASK, &children, 0);
    signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        die("signalfd");
}

int main(int argc, char **argv) {
    if (argc < 7)
        return fprintf(stderr, "usage: keeper FOLDER own|user|heir DESCRIPTOR DESCRIPTOR -- SUPERVISOR ARGUMENTS…\n"), 2;
    int first = atoi(argv[3]), second = atoi(argv[4]), heir = !strcmp(argv[2], "heir");
    command = argv + 6;
    if (chdir(argv[1]))
        die(argv[1]);
    syscall(SYS_close_range, first > second ? first + 1 : second + 1, ~0U, 0); /* what the first client had open */
    if (fcntl(first, F_SETFD, FD_CLOEXEC) || fcntl(second, F_SETFD, FD_CLOEXEC))
        die("the descriptors it is given");
    alone(heir);
    if (heir) {
        settle();
        control = first, listening = second, alive = now();
        hand();
    } else {
        enclose(!strcmp(argv[2], "user"), first, second);
        pid_t it = fork();
        if (it)
            return it < 0; /* it is nobody's child but the machine's first process's */
        settle();
        listens();
        launch();
        if (write(first, "l", 1) < 0)
            perror("keeper: nobody waits for it"); /* but somebody may come */
        close(first), close(second);
    }
    for (;;) {
        struct signalfd_siginfo news;
        int64_t left = supervisor ? 0 : due - now();
        int asked = !supervisor && control < 0 && (left <= 0 || failures >= TRIES);
        struct pollfd p[3] = {{signals, POLLIN, 0},
                              {control, (open_for_word ? POLLIN : POLLOUT) | (full ? POLLOUT : 0), 0},
                              {asked ? listening : -1, POLLIN, 0}};
        if (poll(p, 3, left > 0 ? (int)left : wanted ? 0 : -1) < 0 && errno != EINTR)
            die("poll");
        while (read(signals, &news, sizeof news) > 0)
            wanted |= !supervisor && count; /* one of its children has ended, which is to be written down */
        control_ready(p[1].revents);
        watch();
        if (p[2].revents && failures >= TRIES)
            refuse();
        if (!supervisor && control < 0 && (wanted || p[2].revents) && now() >= due)
            launch();
    }
}
