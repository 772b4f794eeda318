/* Jobs: the application and other commands in a guest, each on its channel of the stream. Included by init.c alone. */
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { JOBS = 64, PIPED = 2, PATIENCE = 10000 /* ms from a restart's signal to SIGKILL */ };

static struct job {
    int channel, what, in, out, err, terminal, running, ended, code, in_done;
    pid_t pid;
    uint32_t credit[2]; /* of out and err */
    struct winsize size; /* that its terminal begins with, if it says any */
    struct buffer input;
    struct buffer parts; /* of the record that is coming */
    struct boot boot;
    char *kept; /* the record that boot points into */
} jobs[JOBS];

static int pids; /* init's own namespace of processes */
static struct stream stream; /* fd: -1 for none, which main sets: as an initialised value it would be 32 KiB of the file */

static struct job *job_of(int channel) {
    for (int i = 0; i < JOBS; i++)
        if (jobs[i].channel == channel)
            return jobs + i;
    return 0;
}

static struct job *job_new(int channel) {
    struct job *job = job_of(channel);
    if (job || !(job = job_of(0)))
        return job;
    memset(job, 0, sizeof *job);
    job->channel = channel, job->in = job->out = job->err = -1;
    job->credit[0] = job->credit[1] = WINDOW;
    return job;
}

static void shut(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void job_free(struct job *job) {
    shut(&job->in), shut(&job->out);
    if (!job->terminal)
        shut(&job->err);
    free(job->input.at), free(job->parts.at), boot_free(&job->boot), free(job->kept);
    memset(job, 0, sizeof *job);
}

static void refuse(int channel, int code, int number, const char *what, const char *why) {
    char text[1024 + 8];
    uint32_t *numbers = (uint32_t *)text;
    numbers[0] = code, numbers[1] = number;
    int size = snprintf(text + 8, 1024, "%s%s%s%s%s", what, why ? ": " : "", why ? why : "", number ? ": " : "", number ? strerror(number) : "");
    if (stream.fd < 0 || channel == APPLICATION)
        dprintf(2, "oslet: %s\n", text + 8);
    frame_send(&stream, ERROR, channel, text, 8 + (size < 1024 ? size : 1023));
}

/* A new process. The application is process 1 of a namespace of its own, as it is in a container: signals that it has no
 * handler for are nothing to it, and with it all that it started ends (pid_namespaces(7)). A command is one of those. */
static pid_t spawn(const struct job *job) {
    const struct job *of = job_of(APPLICATION);
    if (job == of)
        return syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, 0, 0, 0, 0);
    if (job->what != PROGRAM || !of->running || of->pid <= 0)
        return fork();
    int there = syscall(SYS_pidfd_open, of->pid, 0);
    pid_t pid = setns(there, CLONE_NEWPID) ? -1 : fork();
    if (pid)
        setns(pids, CLONE_NEWPID), close(there);
    return pid;
}

/* A child's last steps: whose it is, where, and what it may do. */
static int become(struct boot *b) {
    static const struct rlimit open_files = {1024, 1 << 19}, none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &open_files), setrlimit(RLIMIT_CORE, &none);
    umask(022);
    if (b->said >> BOOT_CAPABILITIES & 1)
        for (int each = 0; each < 64 && prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; each++)
            if (!(b->capabilities >> each & 1))
                prctl(PR_CAPBSET_DROP, each, 0, 0, 0);
    if (setgroups(b->group_count, b->groups) || setresgid(b->gid, b->gid, b->gid) || setresuid(b->uid, b->uid, b->uid))
        return 1; /* who isn't root then has no capabilities: capabilities(7) */
    if (!b->uid && b->said >> BOOT_CAPABILITIES & 1) {
        struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
        uint32_t low = b->capabilities, high = b->capabilities >> 32;
        struct __user_cap_data_struct data[2] = {{low, low, 0}, {high, high, 0}};
        syscall(SYS_capset, &head, data);
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return chdir(b->workdir ? b->workdir : "/");
}

/* Signals as at boot: none ignored, none blocked. */
static void settle(void) {
    static const long nothing[8];
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, nothing, 0, _NSIG / 8);
    for (int i = 1; i < _NSIG; i++)
        syscall(SYS_rt_sigaction, i, nothing, 0, _NSIG / 8);
}

/* How a child sees its job: descriptors for 0, 1, 2 and, for a warm one, 3. It tells `said` what went wrong. */
static void child(struct job *job, const int fds[4], int said) {
    struct boot *b = &job->boot;
    settle();
    setsid();
    for (int i = 0; i < 4; i++)
        if (fds[i] >= 0 && dup2(fds[i], i) < 0)
            goto failed;
    if (job->terminal && ioctl(0, TIOCSCTTY, 0))
        goto failed;
    if (job->what != PROGRAM) { /* no execve closes the other ends of its own pipes */
        syscall(SYS_close_range, 3, ~0U, 0);
        _exit(job->what == READ ? read_files(&b->argv) : job->what == PACK ? pack(&b->argv) : unpack(&b->argv, b));
    }
    if (getpid() == 1 && (umount2("/proc", MNT_DETACH) || proc()))
        goto failed;
    if (become(b))
        goto failed;
    environ = (char **)b->env.list;
    static char *none[1];
    if (!environ)
        environ = none;
    char **words = (char **)(fds[3] >= 0 ? b->warm.list : b->argv.list);
    execvp(words[0], words);
failed:;
    int code = errno;
    if (write(said, &code, sizeof code) < 0)
        _exit(125);
    _exit(code == ENOENT ? 127 : 126);
}

/* Four bytes or the end: what became of an execve. */
static int heard(int fd) {
    int code = 0;
    ssize_t got;
    while ((got = read(fd, &code, sizeof code)) < 0 && errno == EINTR)
        ;
    close(fd);
    return got == sizeof code ? code : 0;
}

static int pipes(struct job *job, int fds[4], int flags) {
    int p[3][2], unlock = 0;
    if (flags & TTY) {
        job->in = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        if (job->in < 0 || ioctl(job->in, TIOCSPTLCK, &unlock))
            return -1;
        if (job->size.ws_row)
            ioctl(job->in, TIOCSWINSZ, &job->size);
        job->out = fcntl(job->in, F_DUPFD_CLOEXEC, 0), job->terminal = 1;
        fds[0] = fds[1] = fds[2] = ioctl(job->in, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        return fds[0];
    }
    for (int i = 0; i < 3; i++)
        if (pipe2(p[i], O_CLOEXEC))
            return -1;
    job->in = p[0][1], job->out = p[1][0], job->err = p[2][0];
    fcntl(job->in, F_SETFL, O_NONBLOCK), fcntl(job->out, F_SETFL, O_NONBLOCK), fcntl(job->err, F_SETFL, O_NONBLOCK);
    fds[0] = p[0][0], fds[1] = p[1][1], fds[2] = p[2][1];
    for (int i = 0; i < 3; i++) /* a service opens /dev/stdout again, by its name */
        if (fchown(fds[i], job->boot.uid, job->boot.gid))
            return -1;
    return 0;
}

/* Starts a job's process. 0, or an errno that has been told already. */
static int launch(struct job *job, int flags) {
    int fds[4] = {-1, -1, -1, -1}, said[2], failed = 0;
    int piped = flags & (PIPED | TTY);
    if (job->what == PROGRAM && !job->boot.argv.count)
        return refuse(job->channel, 125, 0, "there is no command to run", 0), EINVAL;
    if (pipe2(said, O_CLOEXEC) || (piped && pipes(job, fds, flags) < 0))
        return refuse(job->channel, 125, errno, "no pipe or terminal can be had", 0), EMFILE;
    job->running = 1, job->ended = 0;
    job->pid = spawn(job);
    if (!job->pid)
        child(job, fds, said[1]);
    close(said[1]);
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0 && (!job->terminal || !i))
            close(fds[i]);
    if (job->pid < 0)
        failed = errno, close(said[0]);
    else
        failed = heard(said[0]);
    if (failed) {
        if (job->pid > 0)
            waitpid(job->pid, 0, 0);
        job->pid = 0, job->running = 0;
        const char *program = job->what == PROGRAM ? job->boot.argv.list[0] : "a command";
        refuse(job->channel, failed == ENOENT ? 127 : 126, failed, program, 0);
        return failed;
    }
    frame_numbers(&stream, STARTED, job->channel, job->pid, 0, 0);
    return 0;
}

/* Input that has come, to the job; what it took may come again. */
static void feed(struct job *job) {
    long sent = job->in < 0 ? -1 : buffer_write(&job->input, job->in, job->input.have);
    if (sent < 0)
        sent = job->input.have, buffer_drop(&job->input, sent), shut(&job->in);
    if (sent)
        frame_numbers(&stream, CREDIT, job->channel, IN, sent, 0);
    if (!job->input.have && job->in_done && !job->terminal)
        shut(&job->in);
}

/* Output that is there, to the stream, as far as its reader gave credit. `last`: the end is near, what is there is all. */
static void relay(struct job *job, int which, int last) {
    int *fd = which ? &job->err : &job->out;
    while (*fd >= 0 && job->credit[which] && stream.out.have < 256 << 10) {
        char data[16 << 10];
        size_t most = job->credit[which] < sizeof data ? job->credit[which] : sizeof data;
        ssize_t got = read(*fd, data, most);
        if (got > 0) {
            frame_send(&stream, which ? ERR : OUT, job->channel, data, got);
            job->credit[which] -= got;
        }
        if (got > 0 && last)
            continue;
        if (got == 0 || (got < 0 && (last || (errno != EAGAIN && errno != EINTR)))) {
            frame_send(&stream, which ? ERR : OUT, job->channel, 0, 0);
            shut(fd);
        }
        return;
    }
}

static int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Everything that has ended; whatever lost its parent is ours, too. */
static void reap(void) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < JOBS; i++)
            if (jobs[i].channel && jobs[i].running && jobs[i].pid == pid)
                jobs[i].ended = 1, jobs[i].code = exit_code(status);
}
