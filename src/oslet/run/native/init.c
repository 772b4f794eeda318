/* init: process 1 of a guest. docs/guest.md says what it does, and its protocol with the shim.
 *
 * Mounts, boot records, root, network, identity; then the application as its child, by order of the host or at once;
 * then everything that the stream asks, until the application has ended. Its exit code is told, and the machine goes
 * off. One process, one loop, which never waits for a reader; what may take long is a child. What can't be done is one
 * line on the console, an ERROR frame, and exit code 125.
 */
#define _GNU_SOURCE
#include <linux/vm_sockets.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include "boot.h"
#include "frames.h"
#include "setup.h"
#include "records.h"
#include "archive.h"
#include "jobs.h"

enum { FAREWELL = 2000 /* ms */, ROOM = 2048 };

static char *agent;                   /* what oslet.agent names */
static int state, code, hold, again;  /* of HELLO; the exit code; oslet.hold; a restart is under way */
static int64_t deadline;              /* of that restart, or of the end; 0 for none */
static uint64_t applied;              /* what was said of the identity when it was applied last */
static int warm = -1, warm_ready;     /* the control socket of a warm Python, that waits */
static struct job *app;
static int serial;                    /* the stream is a terminal, whose other side must not hurry */

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

#include "stream.h"

/* The end: nothing runs, nothing is unwritten, no power. */
static _Noreturn void power_off(void) {
    char *how = word("reboot");
    kill(-1, SIGKILL);
    for (uint32_t i = app ? app->boot.disk_count : 0; i-- > 0;)
        umount2(app->boot.disks[i].path, MNT_DETACH);
    sync();
    reboot(how ? RB_AUTOBOOT : RB_POWER_OFF);
    for (;;)
        pause();
}

/* The exit code is told; the host has a while to take it and to say so by POWEROFF. */
static void finish(void) {
    state = ENDED, deadline = now() + FAREWELL;
    if (stream.fd < 0)
        dprintf(2, "oslet: exit %d\n", code), power_off();
}

/* What can't be done ends the guest: whoever is told so doesn't go on. Always 0. */
static int fail(const char *what, const char *why, int number) {
    code = 125;
    refuse(APPLICATION, 125, number, what, why);
    finish();
    return 0;
}

/* Whether this was said since it was applied last. */
static int fresh(struct boot *b, int tag) {
    return b->said & ~applied & 1ULL << tag ? 1 : 0;
}

static int identity(struct boot *b) {
    static int again_;
    const char *wrong = 0;
    if (fresh(b, BOOT_CLOCK))
        clock_set(b->clock);
    if (fresh(b, BOOT_SEED))
        entropy(b->seed, b->seed_size);
    if (fresh(b, BOOT_HOSTNAME))
        sethostname(b->hostname, strlen(b->hostname));
    if (!again_ || fresh(b, BOOT_ADDRESS) || fresh(b, BOOT_MAC) || fresh(b, BOOT_GATEWAY))
        wrong = network(b, again_);
    again_ = 1, applied = ~0ULL; /* what is said anew is so until the next time: record() */
    return wrong ? fail("the network can't be set up", wrong, errno) : 1;
}

/* What the application's record says of the guest, made so: 0 if it can't be. It may come in parts, again and again. */
static int apply(struct boot *b) {
    static uint32_t mounted;
    const char *wrong;
    if (!identity(b))
        return 0;
    struct boot more = {.disks = b->disks + mounted, .disk_count = b->disk_count - mounted};
    mounted = b->disk_count;
    if ((wrong = disks(&more)))
        return fail(wrong, 0, errno);
    if ((wrong = files(b)))
        return fail("a file can't be written", wrong, errno);
    b->file_count = 0; /* their bytes are in place */
    if (b->read_only && mount(0, "/", 0, MS_REMOUNT | MS_RDONLY, 0) && errno != EINVAL)
        return fail("the root can't be made read-only", 0, errno);
    return 1;
}

#include "warmed.h"

static void start(int flags) {
    struct boot *b = &app->boot;
    int failed;
    if (!apply(b))
        return;
    for (uint32_t i = 0; i < b->env.count; i++) /* what only the warming was to know */
        if (!strncmp(b->env.list[i], "_OSLET_WARM=", 12)) {
            memmove(b->env.list + i, b->env.list + i + 1, (b->env.count - i) * sizeof *b->env.list);
            b->env.count--;
        }
    app->what = PROGRAM;
    if (warm >= 0 && warm_ready && !(flags & TTY)) {
        failed = warm_take();
    } else {
        if (warm >= 0) {
            kill(app->pid, SIGKILL), waitpid(app->pid, 0, 0);
            shut(&warm), app->running = 0;
        }
        failed = launch(app, flags);
    }
    state = RUNNING;
    if (failed) {
        code = failed == ENOENT ? 127 : failed == EINVAL ? 125 : 126;
        finish();
    }
}

/* The whole record of a channel has come: into its job. */
static const char *record(struct job *job) {
    if (!job->parts.have)
        return 0;
    char *data = job->parts.at;
    size_t size = job->parts.have;
    if (job != app)
        job->kept = data; /* the application's stay */
    job->parts = (struct buffer){0};
    while (size) { /* several may follow each other */
        size_t whole = boot_size(data, size);
        uint64_t before = job->boot.said;
        job->boot.said = 0;
        const char *wrong = boot_read(&job->boot, data, size);
        if (job == app)
            applied &= ~job->boot.said;
        job->boot.said |= before;
        if (wrong)
            return wrong;
        data += whole, size -= whole;
    }
    return 0;
}

/* What a command's record leaves open is as the application has it. */
static void as_application(struct boot *b) {
    struct boot *of = &app->boot;
    if (!(b->said >> BOOT_UID & 1))
        b->uid = of->uid;
    if (!(b->said >> BOOT_GID & 1))
        b->gid = of->gid;
    if (!(b->said >> BOOT_UID & 1) && !(b->said >> BOOT_GROUP_LIST & 1))
        memcpy(b->groups, of->groups, sizeof of->groups), b->group_count = of->group_count;
    if (!(b->said >> BOOT_CAPABILITIES & 1))
        b->capabilities = of->capabilities, b->said |= of->said & 1ULL << BOOT_CAPABILITIES;
    if (!b->workdir)
        b->workdir = of->workdir;
    for (uint32_t i = 0; !b->env.count && i < of->env.count; i++)
        boot_push(&b->env, of->env.list[i]);
}

static void run(int channel, struct head head, char *data) {
    struct job *job = job_new(channel);
    unsigned what = frame_number(head, data, 0), flags = frame_number(head, data, 1) & TTY;
    if (!job)
        return refuse(channel, 125, 0, "too many commands at once", 0);
    if ((what == APPLY || what == RESTART) && job != app) { /* what they say is said of the application */
        free(app->parts.at);
        app->parts = job->parts, job->parts = (struct buffer){0};
    }
    const char *wrong = record(what == APPLY || what == RESTART ? app : job);
    if (wrong || what >= WHATS || (job == app ? what != PROGRAM && what != SETTLE : job->running)) {
        refuse(channel, 125, 0, wrong ? wrong : "not a request", 0);
        if (job != app && !job->running)
            job_free(job);
        return;
    }
    if (job == app && what == SETTLE) {
        if (apply(&app->boot))
            warm_up(), warm < 0 ? ready() : (void)0;
        return;
    }
    job->size = (struct winsize){.ws_row = frame_number(head, data, 2), .ws_col = frame_number(head, data, 3)};
    if (job == app)
        return state == WAITING || state == BOOTING ? start(flags | PIPED) : refuse(channel, 125, 0, "it runs already", 0);
    job->what = what;
    if (what == APPLY || what == RESTART) {
        job->running = job->ended = 1;
        frame_numbers(&stream, STARTED, channel, 0, 0, 0);
        if (what == APPLY)
            apply(&app->boot);
        return;
    }
    as_application(&job->boot);
    if (launch(job, flags | PIPED))
        job_free(job);
}

static void forget_commands(void) {
    for (int i = 0; i < JOBS; i++)
        if (jobs[i].channel > APPLICATION) {
            if (jobs[i].running && jobs[i].pid > 0 && !jobs[i].ended)
                kill(-jobs[i].pid, SIGKILL);
            job_free(jobs + i);
        }
}

static void take_input(struct job *job, struct head head, char *data) {
    if (job->input.have + head.length > WINDOW) {
        stream.failed = 1;
        return;
    }
    job->in_done |= !head.length;
    buffer_add(&job->input, data, head.length);
    if (job->running)
        feed(job);
}

static void take(struct stream *s, struct head head, char *data) {
    struct job *job = head.channel ? job_of(head.channel) : 0;
    uint32_t first = frame_number(head, data, 0), second = frame_number(head, data, 1);
    if (head.type == HELLO) {
        forget_commands();
        s->out.have = 0;
        app->credit[0] = app->credit[1] = WINDOW;
        return hello(), rehearse();
    }
    if (head.type == POWEROFF)
        power_off();
    if (!head.channel)
        return;
    if (head.type == RUN)
        return run(head.channel, head, data);
    if (head.type == RECORD && (job || (job = job_new(head.channel)))) {
        if (job->parts.have + head.length <= BOOT_HEAD + BOOT_MOST)
            buffer_add(&job->parts, data, head.length);
        return;
    }
    if (!job)
        return;
    if (head.type == IN)
        return take_input(job, head, data);
    if (head.type == CREDIT && (first == OUT || first == ERR) && second <= WINDOW - job->credit[first == ERR])
        job->credit[first == ERR] += second;
    if (head.type == SIGNAL && job->running && !job->ended && job->pid > 0 && first > 0 && first < 65)
        kill(job->pid, first);
    if (head.type == CLOSE && job != app && job->pid > 0 && !job->ended)
        kill(-job->pid, SIGKILL);
    if (head.type == SIZE && job->terminal) {
        struct winsize size = {.ws_row = first, .ws_col = second};
        ioctl(job->in, TIOCSWINSZ, &size);
    }
}

/* A restart: the application is told to end, and is started again once it has. */
static void restart(void) {
    if (again || state != RUNNING)
        return;
    again = 1, deadline = now() + PATIENCE;
    kill(app->pid, app->boot.stop ? app->boot.stop : SIGTERM);
}

static void ended(struct job *job) {
    relay(job, 0, 1), relay(job, 1, 1);
    if (job->out >= 0 || job->err >= 0) /* for want of credit */
        return;
    if (job == app) {
        if (warm >= 0)
            return;
        shut(&app->in), app->input.have = 0, app->in_done = 0, app->running = 0;
        if (again) {
            int flags = app->terminal ? TTY | PIPED : hold ? PIPED : 0;
            kill(-app->pid, SIGKILL);
            again = 0, deadline = 0, app->terminal = 0;
            return start(flags);
        }
        code = app->code;
        frame_numbers(&stream, EXIT, APPLICATION, code, 0, 0);
        job->ended = 0;
        return finish();
    }
    if (job->what == RESTART) {
        if (job->pid == 0)
            restart(), job->pid = -1;
        if (again)
            return;
    }
    frame_numbers(&stream, EXIT, job->channel, job->code, 0, 0);
    job_free(job);
}

static void child_ended(int number) {
    (void)number; /* it only has to interrupt ppoll */
}

/* Another host's end of the stream, or none for now. */
static void stream_again(void) {
    stream.failed = 0, stream.have = 0, stream.out.have = 0;
    if (agent && !strncmp(agent, "vsock:", 6)) {
        shut(&stream.fd);
        forget_commands();
        connect_agent();
    }
}

/* One turn: waits until something can be done, and does all of that without waiting. */
static void turn(const sigset_t *during) {
    static int paused; /* nobody is at the other end, which poll would say at once, again and again */
    struct pollfd all[2] = {{paused ? -1 : stream.fd, POLLIN | (stream.out.have ? POLLOUT : 0), 0}, {warm_ready ? -1 : warm, POLLIN, 0}};
    struct pollfd polled[2 + 3 * JOBS];
    int count = 2, ms = paused ? 20 : -1;
    memcpy(polled, all, sizeof all);
    if (ms < 0 && deadline)
        ms = deadline > now() ? deadline - now() : 0;
    for (struct job *job = jobs; job < jobs + JOBS; job++) {
        int room = stream.out.have < 256 << 10;
        if (job->channel && job->ended)
            ms = ms < 0 && room && !(job->out >= 0 && !job->credit[0]) && !(job->err >= 0 && !job->credit[1]) ? 0 : ms;
        polled[count++] = (struct pollfd){job->channel && job->input.have ? job->in : -1, POLLOUT, 0};
        polled[count++] = (struct pollfd){job->channel && job->credit[0] && room ? job->out : -1, POLLIN, 0};
        polled[count++] = (struct pollfd){job->channel && job->credit[1] && room ? job->err : -1, POLLIN, 0};
    }
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000L};
    ppoll(polled, count, ms < 0 ? 0 : &wait, during);
    paused = polled[0].revents & POLLHUP && !(polled[0].revents & POLLIN);
    if (polled[0].revents & (POLLIN | POLLERR)) {
        long got = stream_read(&stream, take);
        if (serial && got > 0)
            frame_numbers(&stream, TAKEN, 0, got, 0, 0);
    }
    if (polled[1].revents && warm >= 0 && !warm_ready)
        warm_said();
    reap();
    if (deadline && now() >= deadline) {
        if (state == ENDED)
            power_off();
        kill(app->pid, SIGKILL), deadline = 0;
    }
    for (struct job *job = jobs; job < jobs + JOBS; job++) {
        if (job->channel && job->running && (job->input.have || job->in_done))
            feed(job);
        if (job->channel && !job->ended)
            relay(job, 0, 0), relay(job, 1, 0);
        if (job->channel && job->ended)
            ended(job);
    }
    stream_write(&stream);
    if (stream.failed)
        stream_again(), paused = 1;
}

/* Up to where an application can be started; 0 if it can't be. */
static int boot(void) {
    const char *wrong, *place = "";
    char *device = word("oslet.root"), *kind = word("oslet.rootfs");
    hold = word("oslet.hold") != 0;
    if ((wrong = modules()))
        return fail("a module can't be loaded", wrong, errno);
    if (!(agent = word("oslet.agent")) || !strcmp(agent, "virtio"))
        for (int tries = agent || hold ? 2000 : 1; !(agent = port()) && --tries;)
            usleep(1000); /* its driver is told of it some time after it was found */
    connect_agent();
    if (agent && stream.fd < 0)
        return fail("there is no such device as oslet.agent says", agent, errno);
    if (hold && !agent)
        return fail("oslet.hold", "there is no stream to be told by", 0);
    if ((wrong = records(&app->boot, &place)))
        return fail(place, wrong, 0);
    if (device && (wrong = root(device, kind ? kind : "erofs")))
        return fail(device, wrong, errno);
    unlink("/init");
    late_mounts();
    return 1;
}

int main(void) {
    sigset_t blocked, during;
    mounts();
    signal(SIGCHLD, child_ended), signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked), sigaddset(&blocked, SIGCHLD), sigprocmask(SIG_BLOCK, &blocked, &during);
    sigdelset(&during, SIGCHLD);
    stream.fd = -1, app = job_new(APPLICATION), pids = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (boot() && !hold)
        start(0);
    for (;;)
        turn(&during);
}
