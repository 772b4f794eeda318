/* Attempts to get out of an instance, or at what isn't its own, from inside it. Each runs in a child of its own and
 * prints a line: its name, what came of it, and a word on why:
 *
 *   refused    the kernel said no (the errno is the word), or there is nothing there to reach
 *   contained  it works, and reaches only what is the instance's own
 *   open       it reaches the machine, or another's
 *
 * Nothing is changed even where it could be: files are opened, not written; clocks are set to what they say.
 * As "euid" it prints its effective user id, for who executes it as a set-id program.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REFUSED, CONTAINED, OPEN };
static const char *const words[] = {"refused", "contained", "open"};
static char why[200];
static const char *peer; /* the name of an abstract socket that somebody on the machine listens on */

static int said(int outcome, const char *text) {
    snprintf(why, sizeof why, "%s", text);
    return outcome;
}
static int no(void) { return said(REFUSED, strerror(errno)); }
static int call(long result, int outcome) { return result < 0 ? no() : said(outcome, "it works"); }
static int opens(const char *path, int flags) {
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? no() : said(OPEN, path);
}
static int reads(const char *path) { /* open and not empty */
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return no();
    return read(fd, &byte, 1) == 1 ? said(OPEN, path) : said(REFUSED, "empty");
}
static int first(int outcome, int next) { return outcome == REFUSED ? next : outcome; }
static int foreign_ids(void) { /* whether user 0 here is another one on the machine */
    unsigned long inside = 0, outside = 0, count = 0;
    FILE *file = fopen("/proc/self/uid_map", "r");
    return file && fscanf(file, "%lu %lu %lu", &inside, &outside, &count) == 3 && !(outside == 0 && count > 1u << 31);
}
static int own(const char *text) { return said(foreign_ids() ? CONTAINED : OPEN, text); }

/* /proc and /sys */
static int core_pattern(void) { return opens("/proc/sys/kernel/core_pattern", O_WRONLY); }
static int modprobe(void) { return opens("/proc/sys/kernel/modprobe", O_WRONLY); }
static int drop_caches(void) { return opens("/proc/sys/vm/drop_caches", O_WRONLY); }
static int sysrq(void) { return opens("/proc/sysrq-trigger", O_WRONLY); }
static int irq(void) { return opens("/proc/irq/default_smp_affinity", O_WRONLY); }
static int uevent_helper(void) { return opens("/sys/kernel/uevent_helper", O_WRONLY); }
static int sys_power(void) { return first(opens("/sys/power/state", O_WRONLY), opens("/sys/kernel/mm/ksm/run", O_WRONLY)); }
static int kcore(void) { return reads("/proc/kcore"); }
static int kallsyms(void) { /* where the kernel's functions lie */
    char text[16] = "";
    int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text) < (ssize_t)sizeof text)
        return fd < 0 ? no() : said(REFUSED, "empty");
    return memcmp(text, "0000000000000000", 16) ? said(OPEN, "addresses") : said(CONTAINED, "names, no addresses");
}
static int keys(void) { return reads("/proc/keys"); }
static int timers(void) { return reads("/proc/timer_list"); }
static int binfmt(void) { return opens("/proc/sys/fs/binfmt_misc/register", O_WRONLY); }
static int unmask(void) { /* the file below a mask, by another way into proc */
    return umount2("/proc/kcore", MNT_DETACH) < 0 ? no() : reads("/proc/kcore");
}
static int remount_proc(void) {
    return mount("proc", "/proc", "proc", MS_REMOUNT | MS_BIND, 0) < 0 ? no() : opens("/proc/sys/kernel/core_pattern", O_WRONLY);
}

/* Devices */
static int kmsg(void) { return opens("/dev/kmsg", O_WRONLY); }
static int mem(void) { return opens("/dev/mem", O_RDONLY); }
static int disk(void) {
    mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0));
    if (opens("/tmp/disk", O_RDONLY) == OPEN)
        return OPEN;
    return first(opens("/dev/vda", O_RDONLY), opens("/dev/sda", O_RDONLY));
}
static int node(void) {
    if (mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)) < 0)
        return no();
    return opens("/tmp/mem", O_RDONLY) == OPEN ? OPEN : said(CONTAINED, "made, but it can't be opened");
}

/* Namespaces, mounts, roots */
static int unshare_user(void) { return unshare(CLONE_NEWUSER) < 0 ? no() : said(OPEN, "a user namespace: all of the kernel's root-only code"); }
static int unshare_mount(void) { return call(unshare(CLONE_NEWNS), OPEN); }
static int clone_user(void) {
    pid_t pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid < 0 ? no() : said(OPEN, "a user namespace");
}
static int clone3_user(void) {
    struct { uint64_t flags, pidfd, child, parent, signal, stack, size, tls; } args = {.flags = CLONE_NEWUSER, .signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    return pid < 0 ? no() : said(OPEN, "a user namespace");
}
static int enter(void) {
    int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? no() : call(setns(fd, 0), OPEN);
}
static int mounts(void) { return mount("none", "/tmp", "tmpfs", 0, 0) < 0 ? no() : own("a tmpfs"); }
static int fsopens(void) { return call(syscall(SYS_fsopen, "tmpfs", 0), OPEN); }
static int unmounts(void) { return call(umount2("/proc", MNT_DETACH), OPEN); }
static int pivots(void) { return call(syscall(SYS_pivot_root, "/tmp", "/tmp"), OPEN); }
static int chroots(void) {
    mkdir("/tmp/jail", 0700);
    if (chroot("/tmp/jail") < 0)
        return no();
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0)
            return no();
    return chroot(".") < 0 || access("/proc/self", F_OK) == 0 ? said(CONTAINED, "back to its own root") : said(OPEN, "out");
}
static int handles(void) { /* a file by its inode number, past every path */
    struct { unsigned size; int kind; unsigned char bytes[8]; } it = {8, 1, {2}};
    int root = open("/etc", O_RDONLY | O_CLOEXEC);
    return call(open_by_handle_at(root, (struct file_handle *)&it, O_RDONLY), OPEN);
}
static int hosts_root(void) { /* whose root is the root of the first process? */
    struct stat ours, theirs;
    if (stat("/", &ours) < 0 || stat("/proc/1/root/", &theirs) < 0)
        return no();
    return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev ? said(CONTAINED, "its own") : said(OPEN, "another");
}

/* Other processes */
static int traces(void) {
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    long result = ptrace(PTRACE_ATTACH, pid, 0, 0);
    int error = errno;
    kill(pid, SIGKILL);
    errno = error;
    return result < 0 ? no() : said(CONTAINED, "a child of its own");
}
static int others(void) { /* a process that isn't the instance's would show in proc */
    char path[64], line[64] = "";
    int strange = 0;
    for (int pid = 1; pid < 400; pid++) {
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        if (fgets(line, sizeof line, file) && (!strncmp(line, "kthreadd", 8) || !strncmp(line, "systemd", 7)))
            strange++;
        fclose(file);
    }
    return strange ? said(OPEN, line) : said(REFUSED, "none in sight");
}
static int memory(void) {
    char byte;
    struct iovec to = {&byte, 1}, from = {&byte, 1};
    return process_vm_readv(getppid(), &to, 1, &from, 1, 0) < 0 ? no() : said(CONTAINED, "of its own processes");
}
static int takes_fd(void) {
    int process = syscall(SYS_pidfd_open, getppid(), 0);
    return process < 0 ? no() : call(syscall(SYS_pidfd_getfd, process, 1, 0), CONTAINED);
}

/* The kernel */
static int keyring(void) { return syscall(SYS_add_key, "user", "escape", "x", 1, -4) < 0 ? no() : own("a key"); }
static int keyctls(void) { return call(syscall(SYS_keyctl, 0, -3, 0), OPEN); }
static int bpfs(void) {
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return call(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr), OPEN);
}
static int uring(void) {
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters) < 0 ? no() : said(OPEN, "a ring");
}
static int faults(void) { return call(syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */), OPEN); }
static int perf(void) {
    char attr[128] = {1, 0, 0, 0, 128};
    return call(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0), OPEN);
}
static int kexec(void) { return call(syscall(SYS_kexec_load, 0, 0, 0, 0), OPEN); }
static int module(void) { return call(syscall(SYS_init_module, "", 0, ""), OPEN); }
static int module_file(void) { return call(syscall(SYS_finit_module, 0, "", 0), OPEN); }
static int syslogs(void) { return call(syscall(SYS_syslog, 10, 0, 0), OPEN); }
static int clocks(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return call(clock_settime(CLOCK_REALTIME, &now), OPEN);
}
static int hostname(void) { return sethostname("escaped", 7) < 0 ? no() : said(CONTAINED, "its own"); }
static int swap(void) { return call(syscall(SYS_swapoff, "/nowhere"), OPEN); }
static int quota(void) { return call(syscall(SYS_quotactl, 0, 0, 0, 0), OPEN); }
static int packet(void) { return call(socket(AF_PACKET, SOCK_RAW, 0), CONTAINED); }
static int vsock(void) { return call(socket(40 /* AF_VSOCK */, SOCK_STREAM, 0), OPEN); }
static int crypto(void) { return call(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0), OPEN); }

/* Cgroups */
static int cgroups(void) {
    FILE *file = fopen("/proc/self/mounts", "r");
    char line[4096], place[1024], kind[64], path[1200];
    int outcome = said(REFUSED, "none in sight");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%*s %1023s %63s", place, kind) != 2 || strncmp(kind, "cgroup", 6))
            continue;
        outcome = said(CONTAINED, "in sight, read-only");
        for (int i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "%s/%s", place, i ? "release_agent" : "cgroup.procs");
            if (access(path, F_OK) == 0 && opens(path, O_WRONLY) == OPEN)
                return OPEN;
        }
        said(CONTAINED, "in sight, read-only");
    }
    return outcome;
}
static int mount_cgroup(void) { return mount("none", "/tmp", "cgroup", 0, "rdma") < 0 ? no() : said(OPEN, "a hierarchy"); }

/* What comes along */
static int descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    char target[256], path[320];
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        int fd = atoi(entry->d_name);
        if (fd < 3 || fd == dirfd(folder))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(path, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        return said(OPEN, target);
    }
    return said(REFUSED, "none but 0, 1, 2");
}
static int terminal(void) { /* a terminal that isn't of its own devpts could be typed into: TIOCSTI, TIOCLINUX */
    struct stat here, pts;
    char byte = 3;
    for (int fd = 0; fd < 3; fd++)
        if (isatty(fd) && fstat(fd, &here) == 0 && (stat("/dev/pts", &pts) < 0 || here.st_dev != pts.st_dev))
            return said(OPEN, "a terminal of the machine's");
    if (!isatty(0))
        return said(REFUSED, "no terminal of the machine's");
    byte = 'x';
    if (ioctl(0, TIOCSTI, &byte) == 0)
        return said(CONTAINED, "types into its own terminal");
    char paste[2] = {3, 0};
    return ioctl(0, TIOCLINUX, paste) == 0 ? said(OPEN, "the console's selection") : no();
}
static int status(const char *field, unsigned long long *value, int base) {
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, field, strlen(field))) {
            *value = strtoull(line + strlen(field) + 1, 0, base);
            fclose(file);
            return 1;
        }
    return 0;
}
static int capabilities(void) {
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    unsigned long long value = 0;
    char text[64];
    for (int i = 0; i < 5; i++)
        if (status(sets[i], &value, 16) && value) {
            snprintf(text, sizeof text, "%s %llx", sets[i], value);
            return own(text);
        }
    return said(REFUSED, "every set is empty");
}
static int privileges(void) {
    unsigned long long value = 0;
    return status("NoNewPrivs", &value, 10) && value ? said(REFUSED, "no_new_privs") : said(OPEN, "a set-id program gains");
}
static int unfiltered(void) {
    unsigned long long value = 0;
    return status("Seccomp", &value, 10) && value == 2 ? said(REFUSED, "filtered") : said(OPEN, "every system call");
}
static int setid(void) {
    int ends[2];
    char text[32] = "";
    if (access("/bin/setid", X_OK) < 0)
        return no();
    if (geteuid() == 0)
        return own("is root already");
    if (pipe(ends) < 0)
        return no();
    if (fork() == 0) {
        dup2(ends[1], 1);
        execl("/bin/setid", "setid", "euid", (char *)0);
        _exit(1);
    }
    close(ends[1]);
    if (read(ends[0], text, sizeof text - 1) <= 0)
        return said(REFUSED, "it doesn't run");
    return atoi(text) == 0 ? own("root") : said(REFUSED, "as before");
}
static int root(void) {
    if (geteuid() != 0 && (setuid(0) < 0 || geteuid() != 0))
        return said(REFUSED, "a service user");
    return foreign_ids() ? said(CONTAINED, "root of its own namespace") : said(OPEN, "root of the machine");
}
static int cores(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    return limit.rlim_max == 0 ? said(REFUSED, "no core is written") : said(OPEN, "core_pattern's program runs on the machine");
}
static int runtime(void) { /* CVE-2019-5736's shape: the program that made this process, by its link */
    return first(opens("/proc/self/exe", O_WRONLY), getppid() == 0 ? REFUSED : opens("/proc/1/exe", O_WRONLY));
}
static int sockets(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (!peer)
        return said(REFUSED, "not asked");
    size_t size = strlen(peer);
    memcpy(name.sun_path + 1, peer, size);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return call(connect(fd, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 1 + size), OPEN);
}

#define ATTEMPT(function, text) {#function, text, function}
static const struct { const char *name, *text; int (*attempt)(void); } attempts[] = {
    ATTEMPT(core_pattern, "write /proc/sys/kernel/core_pattern"), ATTEMPT(modprobe, "write /proc/sys/kernel/modprobe"),
    ATTEMPT(drop_caches, "write /proc/sys/vm/drop_caches"), ATTEMPT(sysrq, "write /proc/sysrq-trigger"),
    ATTEMPT(irq, "write /proc/irq"), ATTEMPT(binfmt, "register a binary format"),
    ATTEMPT(uevent_helper, "write /sys/kernel/uevent_helper"), ATTEMPT(sys_power, "write /sys/power/state"),
    ATTEMPT(kcore, "read /proc/kcore"), ATTEMPT(kallsyms, "read /proc/kallsyms"), ATTEMPT(keys, "read /proc/keys"),
    ATTEMPT(timers, "read /proc/timer_list"),
    ATTEMPT(kmsg, "open /dev/kmsg"), ATTEMPT(mem, "open /dev/mem"),
    ATTEMPT(disk, "make and open a disk"), ATTEMPT(node, "make a device node"),
    ATTEMPT(unshare_user, "unshare a user namespace"), ATTEMPT(clone_user, "clone into a user namespace"),
    ATTEMPT(clone3_user, "clone3 into a user namespace"), ATTEMPT(unshare_mount, "unshare a mount namespace"),
    ATTEMPT(enter, "setns into process 1's"), ATTEMPT(mounts, "mount a tmpfs"), ATTEMPT(fsopens, "fsopen"),
    ATTEMPT(chroots, "chroot, and out of it"),
    ATTEMPT(handles, "open_by_handle_at"), ATTEMPT(hosts_root, "process 1's root"), ATTEMPT(traces, "ptrace"),
    ATTEMPT(others, "see others' processes"), ATTEMPT(memory, "process_vm_readv"), ATTEMPT(takes_fd, "pidfd_getfd"),
    ATTEMPT(keyring, "add a key"), ATTEMPT(keyctls, "keyctl"), ATTEMPT(bpfs, "bpf"), ATTEMPT(uring, "io_uring"),
    ATTEMPT(faults, "userfaultfd"), ATTEMPT(perf, "perf_event_open"), ATTEMPT(kexec, "kexec_load"),
    ATTEMPT(module, "init_module"), ATTEMPT(module_file, "finit_module"), ATTEMPT(syslogs, "syslog"),
    ATTEMPT(clocks, "set the clock"), ATTEMPT(hostname, "set the host name"), ATTEMPT(swap, "swapoff"),
    ATTEMPT(quota, "quotactl"), ATTEMPT(packet, "a packet socket"), ATTEMPT(vsock, "a vsock"), ATTEMPT(crypto, "AF_ALG"),
    ATTEMPT(cgroups, "write a cgroup, release_agent"), ATTEMPT(mount_cgroup, "mount a cgroup hierarchy"),
    ATTEMPT(descriptors, "descriptors of others"), ATTEMPT(terminal, "type into the machine's terminal"),
    ATTEMPT(capabilities, "capabilities"), ATTEMPT(privileges, "gain by execve"), ATTEMPT(setid, "a set-id program"),
    ATTEMPT(unfiltered, "unfiltered system calls"), ATTEMPT(root, "be root of the machine"),
    ATTEMPT(cores, "dump a core"), ATTEMPT(runtime, "write the runtime by /proc/self/exe"),
    ATTEMPT(sockets, "the machine's abstract sockets"),
    /* what would leave the others without a ground, last */
    ATTEMPT(unmask, "unmount a mask"), ATTEMPT(remount_proc, "remount /proc"), ATTEMPT(unmounts, "unmount /proc"), ATTEMPT(pivots, "pivot_root"),
};

int main(int count, char **args) {
    if (count > 1 && !strcmp(args[1], "euid"))
        return printf("%d\n", (int)geteuid()) < 0;
    peer = count > 1 ? args[1] : 0;
    setvbuf(stdout, 0, _IOLBF, 0);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            int outcome = attempts[i].attempt();
            printf("%s\t%s\t%s\t%s\n", attempts[i].name, attempts[i].text, words[outcome], why);
            fflush(stdout);
            _exit(0);
        }
        int status;
        if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
            printf("%s\t%s\trefused\tkilled\n", attempts[i].name, attempts[i].text);
    }
    return 0;
}
