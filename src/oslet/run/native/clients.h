/* Other commands: clients of the socket `agent`, each with a channel of its own. Included by shim.c alone. */
static struct client *client_of(int channel) {
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i] && clients[i]->channel == channel)
            return clients[i];
    return 0;
}

static void client_new(void) {
    static uint16_t last = APPLICATION;
    int fd = accept4(door, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (int i = 0; fd >= 0 && i < CLIENTS; i++)
        if (!clients[i] && (clients[i] = calloc(1, sizeof **clients))) {
            do
                last = last < APPLICATION + 1 || last == 0xffff ? APPLICATION + 1 : last + 1;
            while (client_of(last));
            clients[i]->stream.fd = fd, clients[i]->stream.room = -1, clients[i]->channel = last;
            return;
        }
    close(fd);
}

static void client_take(struct stream *s, struct head head, char *data) {
    struct client *client = (struct client *)s;
    switch (head.type) {
    case RECORD: case RUN: case IN: case CREDIT: case SIGNAL: case SIZE:
        return frame_send(&guest, head.type, client->channel, data, head.length);
    default:
        s->failed = 1;
    }
}

/* A client that went away has its command ended; its channel is nobody else's until the guest says that it has. */
static void client_gone(struct client *client) {
    if (client->stream.fd >= 0)
        close(client->stream.fd), client->stream.fd = -1;
    if (!client->closing++)
        frame_send(&guest, CLOSE, client->channel, 0, 0);
    client->stream.out.have = 0;
}

static void client_free(int i) {
    if (clients[i]->stream.fd >= 0)
        close(clients[i]->stream.fd);
    free(clients[i]->stream.out.at), free(clients[i]);
    clients[i] = 0;
}

static void take(struct stream *s, struct head head, char *data) {
    struct client *client;
    if (head.type == HELLO) {
        if (frame_number(head, data, 0) != FRAMES_MAGIC || frame_number(head, data, 1) != FRAMES_VERSION) {
            say("oslet: the guest's init speaks another version of the protocol");
            s->failed = 1;
            return;
        }
        state = frame_number(head, data, 2);
        s->room = (int32_t)frame_number(head, data, 3);
        if (!greeted)
            greet();
        waits();
    } else if (head.type == TAKEN) {
        s->room += frame_number(head, data, 0);
    } else if (head.type == READY) {
        state = WAITING;
        waits();
    } else if (head.channel == APPLICATION) {
        take_application(head, data);
    } else if ((client = client_of(head.channel))) {
        if (!client->closing && client->stream.out.have < 4 * WINDOW)
            frame_send(&client->stream, head.type, 2, data, head.length);
        if (head.type == EXIT || head.type == ERROR) {
            if (client->closing)
                client->stream.failed = 1;
            client->closing = 2;
        }
    }
}
