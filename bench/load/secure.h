/* TLS and HTTP/2 under a client that speaks HTTP/1.1: what it sends is translated, and what comes back is too. */
#ifndef SECURE_H
#define SECURE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct skin skin;
skin *skin_new(int fd, bool http2);
void skin_free(skin *s);
/* 1: hands are shaken; 0: wait for what comes; -1: failed */
int skin_shake(skin *s);
/* a whole request of HTTP/1.1, GET without a body: -1 and EAGAIN: again, with the same */
ssize_t skin_send(skin *s, const char *p, size_t n);
/* as recv(2): what came, as HTTP/1.1; *kernel gets the arrival of the last bytes, if the socket tells it */
ssize_t skin_recv(skin *s, char *p, size_t n, uint64_t *kernel);
#endif
