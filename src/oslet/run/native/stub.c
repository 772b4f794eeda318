/* The stub: what waits in a finished sandbox until it is told which program to become. docs/slots.md has its protocol.
 *
 * Descriptor 3 is a stream socket to the supervisor; whatever else came along, this program's own file first of all,
 * is closed at once. One message comes: a header, three descriptors with its first byte (none for a terminal; one more,
 * which the program finds as 4, if the header says so), and NUL-ended strings: the working folder, the arguments, the environment. Then the stub is that program. What fails is
 * told as an errno; success, by the socket's end at execve. If the supervisor goes away first, so does the stub, with
 * code 125. It runs as the instance's user with all that the sandbox takes away gone already.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "landlock.h"
#include "slot.h"

/* What ignores signals or has them blocked is inherited through execve; an application gets them as they are at boot. */
static void settle(void) {
    static const long none[8]; /* the kernel's sigset_t, or its struct sigaction with SIG_DFL: libc hides two signals */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, 0, _NSIG / 8);
    for (int i = 1; i < _NSIG; i++)
        syscall(SYS_rt_sigaction, i, none, 0, _NSIG / 8);
    if (syscall(SYS_close_range, SELF, ~0U, 0)) /* Linux 5.9 */
        close(SELF);
    prctl(PR_SET_NAME, "oslet-slot");
}

int main(void) {
    struct told told;
    settle();
    hear(&told);
    if (fcntl(CONTROL, F_SETFD, told.flags & WARM ? 0 : FD_CLOEXEC) || chdir(told.folder))
        fail(errno);
    int locked = told.flags & LOCKED ? restrict_self(told.at, told.end) : 0;
    if (locked && locked != ENOSYS && locked != EOPNOTSUPP) /* where there is none, the other walls stand */
        fail(locked);
    environ = told.env;
    execvp(told.words[0], told.words); /* what else is open closes itself at execve: MSG_CMSG_CLOEXEC, O_CLOEXEC */
    fail(errno);
}
