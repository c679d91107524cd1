// Sends one request over and over on kept connections, and measures each answer.
//   load rate PORT REQUEST-FILE CONNECTIONS SECONDS REQUESTS-PER-SECOND   an open loop: a late answer delays no later request,
//                                                                         and latency counts from the moment a request was due
//   load burst PORT REQUEST-FILE CONNECTIONS                              one request on each connection, all at once; broken ones count as answered
#include "common.h"
#include <sys/prctl.h>

typedef struct {
  int fd;
  int busy;
  long used, left;    // Bytes of the head so far; of the body, those still to come, or -1 while the head is incomplete.
  uint64_t due;
  char head[8192];
} Conn;

static Conn *conns;
static int burst, count, *idle, idle_count, poller;
static char *request;
static long request_size, done, good, space;
static uint64_t *latencies;

static void finish(Conn *c, int status) {
  if (done < space) latencies[done] = now() - c->due;
  done++;
  good += status == 200;
  c->busy = 0;
  idle[idle_count++] = (int)(c - conns);
}

static void send_one(Conn *c, uint64_t due) {
  c->busy = 1, c->used = 0, c->left = -1, c->due = due;
  if (write(c->fd, request, (size_t)request_size) != request_size) die("a request could not be written at once");
}

static void broken(Conn *c, const char *where) {
  if (!burst) die("a connection ended in %s", where);
  epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
  // A peer may close a connection that has had its answer.
  if (c->busy) finish(c, 0);
}

static void receive(Conn *c) {
  static char sink[1 << 16];
  for (;;) {
    if (c->left > 0) {
      ssize_t n = read(c->fd, sink, c->left < (long)sizeof sink ? (size_t)c->left : sizeof sink);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) { broken(c, "a body"); return; }
      if ((c->left -= n) == 0) { finish(c, atoi(c->head + 9)); return; }
      continue;
    }
    ssize_t n = read(c->fd, c->head + c->used, sizeof c->head - 1 - (size_t)c->used);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { broken(c, "a head"); return; }
    c->used += n;
    c->head[c->used] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) continue;
    *end = 0;
    int status = atoi(c->head + 9);
    char *field = strcasestr(c->head, "\r\ncontent-length:");
    // An answer in chunks is short here: it ends with the zero chunk, which comes with the rest or soon.
    if (!field) {
      while (memcmp(c->head + c->used - 5, "0\r\n\r\n", 5)) {
        n = read(c->fd, c->head + c->used, sizeof c->head - 1 - (size_t)c->used);
        if (n > 0) c->used += n;
        else if (n == 0 || errno != EAGAIN) { broken(c, "chunks"); return; }
      }
      finish(c, status);
      return;
    }
    c->left = atol(field + 17) - (c->used - (end + 4 - c->head));
    if (c->left == 0) finish(c, status);
    if (!c->busy) return;
  }
}

static void poll_once(uint64_t until) {
  struct epoll_event ready[256];
  uint64_t at = now();
  struct timespec wait = span(until > at ? until - at : 0);
  int n = epoll_pwait2(poller, ready, 256, &wait, NULL);
  for (int i = 0; i < n; i++) receive(ready[i].data.ptr);
}

int main(int argc, char **argv) {
  burst = argc == 5 && !strcmp(argv[1], "burst");
  if (!burst && (argc != 7 || strcmp(argv[1], "rate"))) die("see the top of load.c");
  int port = atoi(argv[2]);
  request = content(argv[3], &request_size);
  count = atoi(argv[4]);
  double seconds = burst ? 30 : atof(argv[5]), rate = burst ? count : atof(argv[6]);
  space = (long)(rate * (burst ? 1 : seconds)) + 16;
  latencies = calloc((size_t)space, sizeof *latencies);
  conns = calloc((size_t)count, sizeof *conns), idle = calloc((size_t)count, sizeof *idle);
  poller = epoll_create1(0);
  prctl(PR_SET_TIMERSLACK, 1000);
  for (int i = 0; i < count; i++) {
    conns[i].fd = connect_to(port, burst ? 2 + i % 100 : 0);
    nonblocking(conns[i].fd);
    struct epoll_event added = {.events = EPOLLIN, .data.ptr = &conns[i]};
    epoll_ctl(poller, EPOLL_CTL_ADD, conns[i].fd, &added);
    idle[idle_count++] = i;
  }
  uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9);
  long sent = 0, wanted = burst ? count : (long)(rate * seconds);
  while (done < wanted && now() < end + 5000000000u) {
    uint64_t due = burst ? start : start + (uint64_t)((double)sent * 1e9 / rate);
    while (sent < wanted && due <= now() && idle_count) {
      send_one(&conns[idle[--idle_count]], due);
      sent++;
      due = burst ? start : start + (uint64_t)((double)sent * 1e9 / rate);
    }
    poll_once(sent < wanted && idle_count ? due : now() + 10000000);
  }
  double took = (double)(now() - start) / 1e9;
  long measured = done < space ? done : space;
  qsort(latencies, (size_t)measured, sizeof *latencies, ascending);
  printf("{\"requests\":%ld,\"good\":%ld,\"seconds\":%f,\"p50\":%f,\"p90\":%f,\"p99\":%f,\"p999\":%f,\"max\":%f}\n", done, good, took,
    quantile(latencies, measured, .5), quantile(latencies, measured, .9), quantile(latencies, measured, .99), quantile(latencies, measured, .999),
    quantile(latencies, measured, 1));
  return done < wanted;
}
