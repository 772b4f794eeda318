/* Frames: what the shim and a guest's init say to each other over one byte stream. docs/guest.md has the protocol.
 *
 * A frame is a struct head and `length` bytes, little-endian. Who sends IN, OUT or ERR has a window of bytes for each of
 * them on each channel, which CREDIT widens again as they are used up: a reader that doesn't read blocks nobody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES_VERSION = 1, FRAMES_MAGIC = 0x414c534f /* OSLA */, FRAME_MOST = 32 << 10, WINDOW = 64 << 10 };
enum { /* frames: to the guest (g), to the host (h) */
    HELLO = 1, /* gh: magic, version, state, room. The guest answers a host's hello with one; all commands are gone then */
    READY,     /* h: it waits for a program */
    RECORD,    /* g: a piece of a boot record */
    RUN,       /* g: what, flags, rows, columns: do that with the record; STARTED or ERROR comes back, and EXIT at the end */
    STARTED,   /* h: pid */
    IN,        /* g: standard input; an empty one is its end */
    OUT,       /* h: standard output, or the terminal's */
    ERR,       /* h: standard error */
    CREDIT,    /* gh: which (IN, OUT, ERR), bytes */
    SIGNAL,    /* g: number, to the process */
    SIZE,      /* g: rows, columns of the terminal */
    EXIT,      /* h: code, 128 and the number for a signal */
    ERROR,     /* h: code, errno, then a text */
    CLOSE,     /* g: the command is wanted no longer */
    POWEROFF,  /* g: the end */
    TAKEN,     /* h: bytes of the stream that were read, where its hello names a room */
    FRAMES
};
enum { PROGRAM, READ, PACK, UNPACK, APPLY, RESTART, SETTLE, WHATS }; /* what RUN wants */
enum { TTY = 1 };                                                   /* its flags */
enum { BOOTING, WAITING, RUNNING, ENDED };                          /* states in HELLO */
enum { APPLICATION = 1 };                                           /* its channel; commands have those above */

struct head {
    uint8_t type, zero;
    uint16_t channel;
    uint32_t length;
};

struct buffer {
    char *at;
    size_t have, room;
};

struct stream { /* `failed` once the other side is gone, or says what isn't a frame */
    int fd, failed;
    long room; /* bytes that may be under way to the other side; -1: any number */
    struct buffer out;
    size_t have;
    char in[sizeof(struct head) + FRAME_MOST];
};

/* `size` more bytes at the buffer's end, for the caller to fill; null without memory. */
static char *buffer_more(struct buffer *b, size_t size) {
    if (b->have + size > b->room) {
        size_t room = (b->have + size) * 2 > 4096 ? (b->have + size) * 2 : 4096;
        char *more = realloc(b->at, room);
        if (!more)
            return 0;
        b->at = more, b->room = room;
    }
    return b->at + b->have;
}

static void buffer_add(struct buffer *b, const void *data, size_t size) {
    char *more = size ? buffer_more(b, size) : 0;
    if (more)
        memcpy(more, data, size), b->have += size;
}

static void buffer_drop(struct buffer *b, size_t size) {
    b->have -= size;
    if (b->have)
        memmove(b->at, b->at + size, b->have);
    else if (b->room > WINDOW)
        free(b->at), b->at = 0, b->room = 0;
}

/* One write of up to `most` bytes of the buffer: how many were taken, 0 for none now, -1 if there is nobody to take them. */
static long buffer_write(struct buffer *b, int fd, size_t most) {
    ssize_t sent = write(fd, b->at, b->have < most ? b->have : most);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    buffer_drop(b, sent);
    return sent;
}

static void frame_send(struct stream *s, int type, int channel, const void *data, size_t size) {
    struct head head = {type, 0, channel, size};
    if (s->failed)
        return;
    buffer_add(&s->out, &head, sizeof head);
    buffer_add(&s->out, data, size);
}

static void frame_numbers(struct stream *s, int type, int channel, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t all[] = {a, b, c, type == HELLO ? (uint32_t)s->room : 0};
    frame_send(s, type, channel, all, type == HELLO ? 16 : type == CREDIT ? 8 : 4);
}

/* What is to be written, as far as the other side takes it. */
static void stream_write(struct stream *s) {
    while (s->out.have && s->room && !s->failed) {
        long sent = buffer_write(&s->out, s->fd, s->room < 0 || s->room > 16 << 10 ? 16 << 10 : s->room);
        if (!sent)
            return;
        if (sent < 0)
            s->out.have = 0; /* what was said last may still be there to be read */
        else if (s->room > 0)
            s->room -= sent;
    }
}

/* One read, and `take` for each frame that is whole then; how much it was. `failed` is set at the end of the stream. */
static long stream_read(struct stream *s, void (*take)(struct stream *, struct head, char *)) {
    ssize_t got = read(s->fd, s->in + s->have, sizeof s->in - s->have);
    if (got <= 0) {
        s->failed |= got == 0 || (errno != EAGAIN && errno != EINTR);
        return 0;
    }
    s->have += got;
    size_t at = 0;
    while (!s->failed && s->have - at >= sizeof(struct head)) {
        struct head head;
        memcpy(&head, s->in + at, sizeof head);
        if (head.length > FRAME_MOST || !head.type || head.type >= FRAMES || head.zero) {
            s->failed = 1;
            return 0;
        }
        if (s->have - at < sizeof head + head.length)
            break;
        take(s, head, s->in + at + sizeof head);
        at += sizeof head + head.length;
    }
    if (at > s->have) /* `take` began anew */
        at = s->have;
    s->have -= at;
    memmove(s->in, s->in + at, s->have);
    return got;
}

/* The `n`th number of a frame's payload, 0 where it has none. */
static uint32_t frame_number(struct head head, const char *data, unsigned n) {
    uint32_t value = 0;
    if (head.length >= 4 * (n + 1))
        memcpy(&value, data + 4 * n, 4);
    return value;
}
