/* TLS by OpenSSL, HTTP/2 by hand: one request at a time on a connection, its answer told as chunks of HTTP/1.1. */
#include "common.h"
#include "secure.h"
#ifdef NO_TLS
skin *skin_new(int fd, bool http2) { (void)fd; (void)http2; die("https:// needs OpenSSL: install libssl-dev, make clean, make"); }
void skin_free(skin *s) { (void)s; }
int skin_shake(skin *s) { (void)s; return -1; }
ssize_t skin_send(skin *s, const char *p, size_t n) { (void)s; (void)p; (void)n; return -1; }
ssize_t skin_recv(skin *s, char *p, size_t n, uint64_t *kernel) { (void)s; (void)p; (void)n; (void)kernel; return -1; }
#else
#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

enum { DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, PING = 6, GOAWAY = 7 };
#define WINDOW 0x7fffffffu
struct skin {
  SSL *ssl; BIO *in; int fd; bool h2, begun, eof;
  uint32_t stream; uint64_t taken;            /* bytes of DATA since the last WINDOW_UPDATE */
  unsigned char fh[9]; int fhn; uint32_t left; uint8_t type, flags; unsigned char pay[64]; uint32_t payn;
  char *out; size_t on, oo, cap;              /* HTTP/1.1 that was not asked for yet */
};
static SSL_CTX *ctx;

skin *skin_new(int fd, bool http2) {
  if (!ctx) {
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) die("no TLS");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  }
  skin *s = calloc(1, sizeof *s);
  if (!s || !(s->ssl = SSL_new(ctx))) die("out of memory");
  s->fd = fd; s->h2 = http2; s->in = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(s->in, -1);
  SSL_set_bio(s->ssl, s->in, BIO_new_socket(fd, BIO_NOCLOSE));
  if (http2) SSL_set_alpn_protos(s->ssl, (const unsigned char *)"\2h2", 3);
  else SSL_set_alpn_protos(s->ssl, (const unsigned char *)"\10http/1.1", 9);
  SSL_set_connect_state(s->ssl);
  return s;
}
void skin_free(skin *s) {
  if (!s) return;
  SSL_free(s->ssl); free(s->out); free(s);
}
/* what the kernel has, into TLS: 1 something, 0 the end, -1 errno */
static int fill(skin *s, uint64_t *kernel) {
  static char b[1 << 18]; char ctl[128]; struct iovec iv = { b, sizeof b };
  struct msghdr m = { .msg_iov = &iv, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl };
  ssize_t k = recvmsg(s->fd, &m, MSG_DONTWAIT);
  if (k <= 0) return (int)k;
  if (kernel) for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMPNS) { struct timespec t; memcpy(&t, CMSG_DATA(h), sizeof t); *kernel = (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec; }
  return BIO_write(s->in, b, (int)k) == k ? 1 : -1;
}
int skin_shake(skin *s) {
  for (;;) {
    int r = SSL_do_handshake(s->ssl);
    if (r == 1) break;
    if (SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ) return -1;
    r = fill(s, NULL);
    if (r == 0) return -1;
    if (r < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  }
  const unsigned char *alpn; unsigned n;
  SSL_get0_alpn_selected(s->ssl, &alpn, &n);
  return s->h2 && !(n == 2 && !memcmp(alpn, "h2", 2)) ? -1 : 1;
}
static ssize_t put(skin *s, const void *p, size_t n) {
  int r = SSL_write(s->ssl, p, (int)n);
  if (r > 0) return r;
  int e = SSL_get_error(s->ssl, r);
  errno = e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
  return -1;
}
static unsigned char *frame(unsigned char *p, uint32_t n, uint8_t type, uint8_t flags, uint32_t stream) {
  p[0] = (unsigned char)(n >> 16); p[1] = (unsigned char)(n >> 8); p[2] = (unsigned char)n; p[3] = type; p[4] = flags;
  for (int i = 0; i < 4; i++) p[5 + i] = (unsigned char)(stream >> (24 - 8 * i));
  return p + 9;
}
static unsigned char *u32(unsigned char *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (24 - 8 * i)); return p + 4; }
static unsigned char *text(unsigned char *p, const char *t, size_t n) { /* a string literal of HPACK, no Huffman code */
  if (n < 127) *p++ = (unsigned char)n;
  else { size_t r = n - 127; *p++ = 127; while (r > 127) { *p++ = (unsigned char)(128 | (r & 127)); r >>= 7; } *p++ = (unsigned char)r; }
  memcpy(p, t, n);
  return p + n;
}
ssize_t skin_send(skin *s, const char *p, size_t n) {
  if (!s->h2) return put(s, p, n);
  unsigned char *b = xrealloc(NULL, n * 2 + 512), *o = b;
  if (!s->begun) { /* no table of its own to keep, and windows that are never full */
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    memcpy(o, preface, 24); o += 24;
    o = frame(o, 12, SETTINGS, 0, 0); *o++ = 0; *o++ = 1; o = u32(o, 0); *o++ = 0; *o++ = 4; o = u32(o, WINDOW);
    o = frame(o, 4, 8, 0, 0); o = u32(o, WINDOW - 65535);
  }
  unsigned char *head = o; o += 9;
  const char *e = p + n, *path = memchr(p, ' ', n) + 1, *pe = memchr(path, ' ', (size_t)(e - path));
  *o++ = 0x82; *o++ = 0x87; *o++ = 0x04; o = text(o, path, (size_t)(pe - path));
  for (const char *l = (const char *)memchr(pe, '\n', (size_t)(e - pe)) + 1, *z; l < e && *l != '\r'; l = z + 2) {
    z = memmem(l, (size_t)(e - l), "\r\n", 2);
    const char *c = memchr(l, ':', (size_t)(z - l)), *v = c + 1;
    while (v < z && *v == ' ') v++;
    if (c - l == 4 && !strncasecmp(l, "host", 4)) *o++ = 0x01;
    else { *o++ = 0; unsigned char *w = o + 1; o = text(o, l, (size_t)(c - l)); for (; w < o; w++) if (*w >= 'A' && *w <= 'Z') *w |= 32; }
    o = text(o, v, (size_t)(z - v));
  }
  s->stream = s->begun ? s->stream + 2 : 1;
  frame(head, (uint32_t)(o - head - 9), HEADERS, 5, s->stream);
  ssize_t k = put(s, b, (size_t)(o - b));
  if (k > 0) s->begun = true;
  else if (errno == EAGAIN) errno = ECONNRESET; /* a request does not fill a socket */
  free(b);
  return k > 0 ? (ssize_t)n : -1;
}
static void say(skin *s, const void *p, size_t n) {
  if (s->on + n > s->cap) { s->cap = (s->on + n) * 2 + 4096; s->out = xrealloc(s->out, s->cap); }
  memcpy(s->out + s->on, p, n); s->on += n;
}
static int status_of(const unsigned char *p, uint32_t n) {
  static const int known[] = { 200, 204, 206, 304, 400, 404, 500 };
  uint32_t i = 0;
  while (i < n && (p[i] & 0xe0) == 0x20) i++; /* sizes of the table */
  if (i < n && p[i] >= 0x88 && p[i] <= 0x8e) return known[p[i] - 0x88];
  if (i + 4 < n && (p[i] & 15) == 8 && p[i + 1] == 3) return (p[i + 2] - '0') * 100 + (p[i + 3] - '0') * 10 + p[i + 4] - '0';
  return 599; /* not one that this client can read: :status by another way, or in Huffman's code */
}
static bool frame_begins(skin *s) {
  s->left = (uint32_t)s->fh[0] << 16 | (uint32_t)s->fh[1] << 8 | s->fh[2]; s->type = s->fh[3]; s->flags = s->fh[4]; s->payn = 0;
  if (s->type == DATA && s->left) { char b[16]; say(s, b, (size_t)sprintf(b, "%x\r\n", s->left)); }
  return !(s->type <= HEADERS && (s->flags & 8)); /* padding: we know our servers */
}
static bool frame_ends(skin *s) {
  unsigned char b[32], *o; char h[96];
  switch (s->type) {
  case DATA: if (s->payn || s->fh[2] || s->fh[1] || s->fh[0]) say(s, "\r\n", 2); break;
  case HEADERS: say(s, h, (size_t)sprintf(h, "HTTP/1.1 %d h2\r\nTransfer-Encoding: chunked\r\n\r\n", status_of(s->pay, s->payn))); break;
  case RST: errno = ECONNRESET; return false;
  case GOAWAY: s->eof = true; break;
  case SETTINGS: if (!(s->flags & 1)) { frame(b, 0, SETTINGS, 1, 0); put(s, b, 9); } break;
  case PING: if (!(s->flags & 1)) { o = frame(b, 8, PING, 1, 0); memcpy(o, s->pay, 8); put(s, b, 17); } break;
  }
  if (s->type <= HEADERS && (s->flags & 1)) say(s, "0\r\n\r\n", 5);
  if (s->taken > 1u << 29) { o = frame(b, 4, 8, 0, 0); u32(o, (uint32_t)s->taken); put(s, b, 13); s->taken = 0; }
  s->fhn = 0;
  return true;
}
static bool frames(skin *s, const unsigned char *p, size_t n) {
  while (n) {
    if (s->fhn < 9) {
      s->fh[s->fhn++] = *p++; n--;
      if (s->fhn == 9 && (!frame_begins(s) || (!s->left && !frame_ends(s)))) return false;
      continue;
    }
    size_t k = n < s->left ? n : s->left;
    if (s->type == DATA) { say(s, p, k); s->taken += k; }
    else { size_t room = sizeof s->pay - s->payn, m = k < room ? k : room; memcpy(s->pay + s->payn, p, m); s->payn += (uint32_t)m; }
    p += k; n -= k; s->left -= (uint32_t)k;
    if (!s->left && !frame_ends(s)) return false;
  }
  return true;
}
ssize_t skin_recv(skin *s, char *p, size_t n, uint64_t *kernel) {
  for (;;) {
    if (s->on > s->oo) {
      size_t k = s->on - s->oo < n ? s->on - s->oo : n;
      memcpy(p, s->out + s->oo, k); s->oo += k;
      if (s->oo == s->on) { s->oo = s->on = 0; if (s->cap > 65536) { free(s->out); s->out = NULL; s->cap = 0; } }
      return (ssize_t)k;
    }
    if (s->eof) return 0;
    unsigned char b[16384];
    int r = s->h2 ? SSL_read(s->ssl, b, sizeof b) : SSL_read(s->ssl, p, (int)n);
    if (r > 0) {
      if (!s->h2) return r;
      if (!frames(s, b, (size_t)r)) { errno = ECONNRESET; return -1; }
      continue;
    }
    int e = SSL_get_error(s->ssl, r);
    if (e == SSL_ERROR_ZERO_RETURN) return 0;
    if (e != SSL_ERROR_WANT_READ) { errno = ECONNRESET; return -1; }
    r = fill(s, kernel);
    if (r <= 0) return r;
  }
}
#endif
