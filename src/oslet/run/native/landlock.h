/* Landlock (landlock(7)): what a process may do with files and TCP ports, taken away by itself before its execve.
 *
 * restrict_self() gets the rules as the supervisor packed them (run/landlock.py): a struct lock, then `ports` 16-bit
 * numbers, then `paths` entries, each a 64-bit mask of rights and a NUL-ended path. Rights that this kernel doesn't
 * know are left out, and a path that isn't there has no rule: it grants nothing. 0, or an errno; ENOSYS and EOPNOTSUPP
 * where there is no Landlock, and then nothing is restricted: the other walls stand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct lock {
    uint64_t files, net, scoped; /* what is handled: all of it is forbidden but by a rule */
    uint16_t ports, paths;       /* how many rules follow: ports to connect to, and paths */
};
enum { CREATE = 444, ADD, RESTRICT, BENEATH = 1, PORT = 2, CONNECT = 2 };

static int restrict_self(const char *at, const char *end) {
    static const uint64_t files[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff}; /* by ABI: all rights up to it */
    struct lock lock;
    if (end - at < (long)sizeof lock)
        return EBADMSG;
    memcpy(&lock, at, sizeof lock);
    at += sizeof lock;
    long abi = syscall(CREATE, 0, 0, 1);
    if (abi < 1)
        return errno;
    lock.files &= files[abi > 5 ? 5 : abi];
    lock.net &= abi >= 4 ? 3 : 0;
    lock.scoped &= abi >= 6 ? 3 : 0;
    int set = syscall(CREATE, &lock, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
    if (set < 0)
        return errno;
    for (; lock.ports && end - at >= 2; lock.ports--, at += 2) {
        uint64_t rule[2] = {lock.net & CONNECT, 0};
        memcpy(&rule[1], at, 2); /* little-endian, as every machine that oslet runs on */
        if (rule[0] && syscall(ADD, set, PORT, rule, 0))
            return errno;
    }
    for (; lock.paths && end - at > 8 && memchr(at + 8, 0, end - at - 8); lock.paths--, at += 9 + strlen(at + 8)) {
        struct { uint64_t rights; int32_t fd; } __attribute__((packed)) rule;
        memcpy(&rule.rights, at, 8);
        rule.rights &= lock.files;
        rule.fd = openat(AT_FDCWD, at + 8, O_PATH | O_CLOEXEC); /* open(2) itself may be filtered */
        if (rule.fd < 0)
            continue;
        int failed = rule.rights && syscall(ADD, set, BENEATH, &rule, 0) ? errno : 0;
        close(rule.fd);
        if (failed)
            return failed;
    }
    if (lock.ports || lock.paths)
        return EBADMSG;
    int failed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(RESTRICT, set, 0) ? errno : 0;
    close(set);
    return failed;
}
