// TLS 1.3 handshakes as fast as they go: connect, shake hands, say goodbye, wait until the peer has closed.
//   handshakes full|resumed PORT AT-ONCE SECONDS
#include "common.h"
#include <openssl/ssl.h>

typedef struct { SSL *ssl; int fd; int shut; uint64_t start; } Shake;

static int poller, port;
static SSL_CTX *tls;
// The ticket as bytes: a session object is good for one connection only.
static unsigned char *ticket;
static int ticket_size;

static int keep_ticket(SSL *ssl, SSL_SESSION *session) {
  (void)ssl;
  if (!ticket) ticket_size = i2d_SSL_SESSION(session, &ticket);
  return 0;
}

static void begin(Shake *s) {
  s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in to = loopback(port, 1);
  setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  s->start = now(), s->shut = 0;
  if (connect(s->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect: %s", strerror(errno));
  s->ssl = SSL_new(tls);
  SSL_set_fd(s->ssl, s->fd);
  SSL_set_connect_state(s->ssl);
  if (ticket) {
    const unsigned char *from = ticket;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &from, ticket_size);
    SSL_set_session(s->ssl, session);
    SSL_SESSION_free(session);
  }
  struct epoll_event added = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};
  epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &added);
}

// A first connection that stays until the peer has sent a ticket: after the handshake, or at the latest with an answer.
static void get_ticket(void) {
  static const char ask[] = "GET /ticket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
  int fd = connect_to(port, 0);
  SSL *ssl = SSL_new(tls);
  char data[4096];
  SSL_set_fd(ssl, fd);
  if (SSL_connect(ssl) != 1 || SSL_write(ssl, ask, sizeof ask - 1) <= 0) die("no first handshake");
  while (!ticket && SSL_read(ssl, data, sizeof data) > 0) {}
  if (!ticket) die("the peer gave no ticket");
  SSL_shutdown(ssl);
  SSL_free(ssl);
  close(fd);
}

int main(int argc, char **argv) {
  if (argc != 5) die("see the top of handshakes.c");
  int resume = !strcmp(argv[1], "resumed"), at_once = atoi(argv[3]);
  port = atoi(argv[2]);
  uint64_t end;
  signal(SIGPIPE, SIG_IGN);
  tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
  SSL_CTX_set_alpn_protos(tls, (const unsigned char *)"\x08http/1.1", 9);
  if (resume) {
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls, keep_ticket);
    get_ticket();
  }
  poller = epoll_create1(0);
  long done = 0, shaken = 0, reused = 0, space = 1000000;
  uint64_t *spans = malloc((size_t)space * sizeof *spans);
  char cipher[128] = "";
  Shake *all = calloc((size_t)at_once, sizeof *all);
  uint64_t start = now();
  end = start + (uint64_t)(atof(argv[4]) * 1e9);
  for (int i = 0; i < at_once; i++) begin(&all[i]);
  while (now() < end) {
    struct epoll_event ready[256];
    int n = epoll_wait(poller, ready, 256, 1000);
    if (!n) die("no handshake in a second");
    for (int i = 0; i < n; i++) {
      Shake *s = ready[i].data.ptr;
      if (!s->shut) {
        int code = SSL_do_handshake(s->ssl);
        if (code != 1) {
          int why = SSL_get_error(s->ssl, code);
          if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) continue;
          die("handshake %ld failed", done);
        }
        if (shaken < space) spans[shaken++] = now() - s->start;
        reused += SSL_session_reused(s->ssl);
        if (!done) snprintf(cipher, sizeof cipher, "%s %s", SSL_get_version(s->ssl), SSL_get_cipher_name(s->ssl));
        SSL_shutdown(s->ssl);
        shutdown(s->fd, SHUT_WR);
        s->shut = 1;
      }
      char data[4096];
      ssize_t got;
      while ((got = read(s->fd, data, sizeof data)) > 0) {}
      if (got < 0 && errno == EAGAIN) continue;
      SSL_free(s->ssl);
      close(s->fd);
      done++;
      begin(s);
    }
  }
  double took = (double)(now() - start) / 1e9;
  qsort(spans, (size_t)shaken, sizeof *spans, ascending);
  printf("{\"requests\":%ld,\"reused\":%ld,\"seconds\":%f,\"p50\":%f,\"p99\":%f,\"cipher\":\"%s\"}\n", done, reused, took,
    quantile(spans, shaken, .5), quantile(spans, shaken, .99), cipher);
  return !done || (resume && reused + at_once < done);
}
