// Opens event streams and keeps them.
//   streams idle REQUEST-FILE STREAMS PROCESSES PLAIN|TLS PORT…   prints "OPEN n" when each has had its first event, then waits for the end of stdin
//   streams latency REQUEST-FILE STREAMS SECONDS PORT             prints how long events were on their way: the upstream wrote the time into them
#include "common.h"
#include <openssl/ssl.h>
#include <sys/prctl.h>

static char *request;
static long request_size;

// Reads until an event is complete; the fd stays open.
static int first_event(int fd, SSL *ssl) {
  char data[4096];
  int used = 0;
  while (used < (int)sizeof data - 1) {
    int n = ssl ? SSL_read(ssl, data + used, (int)sizeof data - 1 - used) : (int)read(fd, data + used, sizeof data - 1 - (size_t)used);
    if (n <= 0) return 0;
    used += n;
    data[used] = 0;
    char *body = strstr(data, "\r\n\r\n");
    if (body && strstr(body + 4, "\n\n")) return !strncmp(data + 9, "200", 3);
  }
  return 0;
}

static int open_stream(int port, int number, SSL_CTX *tls) {
  int fd = connect_to(port, 2 + number % 100);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 10}, sizeof(struct timeval));
  SSL *ssl = NULL;
  if (tls) {
    ssl = SSL_new(tls);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1 || SSL_write(ssl, request, (int)request_size) != request_size) die("TLS failed on stream %d", number);
  } else if (write(fd, request, (size_t)request_size) != request_size) die("stream %d could not be asked for", number);
  if (!first_event(fd, ssl)) die("stream %d was not opened", number);
  return fd;
}

static int idle(int argc, char **argv) {
  int streams = atoi(argv[3]), processes = atoi(argv[4]), ports = argc - 6, ends[2];
  if (pipe(ends)) die("pipe");
  for (int p = 0; p < processes; p++) {
    if (fork()) continue;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    SSL_CTX *tls = NULL;
    if (!strcmp(argv[5], "tls")) {
      tls = SSL_CTX_new(TLS_client_method());
      SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
      SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    }
    for (int i = p; i < streams; i += processes) open_stream(atoi(argv[6 + i % ports]), i, tls);
    if (write(ends[1], "+", 1) != 1) exit(1);
    pause();
  }
  close(ends[1]);
  char one;
  for (int p = 0; p < processes; p++) if (read(ends[0], &one, 1) != 1) die("not all streams were opened");
  printf("OPEN %d\n", streams);
  fflush(stdout);
  while (read(0, &one, 1) > 0) {}
  return 0;
}

static int latency(char **argv) {
  int streams = atoi(argv[3]), port = atoi(argv[5]), poller = epoll_create1(0);
  double seconds = atof(argv[4]);
  long space = 2000000, got = 0;
  uint64_t *spans = malloc((size_t)space * sizeof *spans);
  for (int i = 0; i < streams; i++) {
    int fd = open_stream(port, i, NULL);
    nonblocking(fd);
    struct epoll_event added = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &added);
  }
  uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9);
  while (now() < end) {
    struct epoll_event ready[256];
    int n = epoll_wait(poller, ready, 256, 100);
    for (int i = 0; i < n; i++) {
      char data[16384];
      ssize_t size = read(ready[i].data.fd, data, sizeof data - 1);
      uint64_t at = now();
      if (size <= 0) die("a stream ended");
      data[size] = 0;
      // Events are small and far apart: none is cut in two.
      for (char *t = data; (t = strstr(t, "\"t\":")) && got < space; t += 4) spans[got++] = at - strtoull(t + 4, NULL, 10);
    }
  }
  qsort(spans, (size_t)got, sizeof *spans, ascending);
  printf("{\"events\":%ld,\"p50\":%f,\"p99\":%f,\"max\":%f}\n", got, quantile(spans, got, .5), quantile(spans, got, .99), quantile(spans, got, 1));
  return !got;
}

int main(int argc, char **argv) {
  if (argc < 6) die("see the top of streams.c");
  request = content(argv[2], &request_size);
  signal(SIGPIPE, SIG_IGN);
  return !strcmp(argv[1], "idle") ? idle(argc, argv) : latency(argv);
}
