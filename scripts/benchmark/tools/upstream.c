// The fast upstream for what nginx alone does not do: sized answers to POST with the body read to its end, and event streams.
//   upstream PORT ANSWER-BYTES TICK-MS
// POST is answered with JSON of ANSWER-BYTES. GET is answered with an event stream: one event at once, and if TICK-MS is not 0 one more
// each TICK-MS with the time of sending in it. GET /tokens tells how often each Authorization was seen.
#include "common.h"
#include <sys/prctl.h>

enum { IN = 8192, TOKENS = 64, TOKEN = 512 };

typedef struct {
  int fd;
  int slot;           // Its place among the ticking streams, or -1.
  int used;           // Bytes in `in`.
  long body_left;     // Bytes of the request's body still to come.
  const char *out;    // What is left to be written.
  long out_left;
  uint64_t next_tick;
  char in[IN];
} Conn;

typedef struct { char value[TOKEN]; long seen; } Token;

static char *answer;
static long answer_size;
static uint64_t tick;
static Conn **ticking;
static int ticking_count, ticking_space;
static Token tokens[TOKENS];
static int poller;

static void drop(Conn *c) {
  if (c->slot >= 0) {
    ticking[c->slot] = ticking[--ticking_count];
    ticking[c->slot]->slot = c->slot;
  }
  close(c->fd);
  free(c);
}

static void note(const char *head) {
  const char *at = strcasestr(head, "\r\nauthorization:");
  if (!at) return;
  at += 16;
  while (*at == ' ') at++;
  size_t length = strcspn(at, "\r");
  if (length >= TOKEN) length = TOKEN - 1;
  for (int i = 0; i < TOKENS; i++) {
    if (!tokens[i].value[0]) memcpy(tokens[i].value, at, length);
    if (!strncmp(tokens[i].value, at, length) && !tokens[i].value[length]) { tokens[i].seen++; return; }
  }
}

// Writes what is left; 0 when the connection is gone.
static int flush(Conn *c) {
  while (c->out_left) {
    ssize_t n = write(c->fd, c->out, c->out_left);
    if (n < 0 && errno == EAGAIN) return 1;
    if (n <= 0) return 0;
    c->out += n, c->out_left -= n;
  }
  return 1;
}

static int say(Conn *c, const char *data, long size) {
  c->out = data, c->out_left = size;
  return flush(c);
}

static int event(Conn *c, int first) {
  char body[256], all[512];
  int n = snprintf(body, sizeof body,
    "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1,\"t\":%020llu}}\n\n",
    (unsigned long long)now());
  n = snprintf(all, sizeof all, "%s%x\r\n%s\r\n",
    first ? "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n" : "", n, body);
  return write(c->fd, all, n) == n;
}

static int serve_get(Conn *c) {
  if (!strncmp(c->in, "GET /tokens ", 12)) {
    static char text[TOKENS * (TOKEN + 32) + 128], list[TOKENS * (TOKEN + 32)];
    int at = 0;
    for (int i = 0; i < TOKENS && tokens[i].value[0]; i++) at += sprintf(list + at, "%s\"%s\":%ld", i ? "," : "", tokens[i].value, tokens[i].seen);
    list[at] = 0;
    int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{%s}", at + 2, list);
    return say(c, text, n);
  }
  if (!tick) return event(c, 1);
  if (ticking_count == ticking_space) ticking = realloc(ticking, (ticking_space = ticking_space * 2 + 64) * sizeof *ticking);
  c->slot = ticking_count;
  ticking[ticking_count++] = c;
  // Streams tick at different moments.
  c->next_tick = now() + tick + (uint64_t)rand() % tick;
  return event(c, 1);
}

// Acts on what has arrived; 0 when the connection is gone.
static int read_some(Conn *c) {
  static char sink[1 << 17];
  for (;;) {
    if (c->body_left) {
      ssize_t n = read(c->fd, sink, c->body_left < (long)sizeof sink ? (size_t)c->body_left : sizeof sink);
      if (n < 0 && errno == EAGAIN) return 1;
      if (n <= 0) return 0;
      if ((c->body_left -= n) == 0 && !say(c, answer, answer_size)) return 0;
      continue;
    }
    ssize_t n = read(c->fd, c->in + c->used, IN - 1 - c->used);
    if (n < 0 && errno == EAGAIN) return 1;
    if (n <= 0) return 0;
    c->used += n;
    c->in[c->used] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) { if (c->used == IN - 1) return 0; continue; }
    long head = end + 4 - c->in, length = 0, got = c->used - head;
    end[2] = 0;
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    if (field) length = atol(field + 17);
    if (strcasestr(c->in, "\r\ntransfer-encoding:")) die("a chunked request");
    note(c->in);
    c->used = 0;
    if (!strncmp(c->in, "GET ", 4)) { if (!serve_get(c)) return 0; continue; }
    c->body_left = length - got;
    if (c->body_left < 0) die("a pipelined request");
    if (!c->body_left && !say(c, answer, answer_size)) return 0;
  }
}

static void serve(int listener) {
  poller = epoll_create1(0);
  struct epoll_event added = {.events = EPOLLIN, .data.ptr = NULL}, ready[256];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &added);
  prctl(PR_SET_TIMERSLACK, 1000);
  for (;;) {
    uint64_t soonest = UINT64_MAX, at = now();
    for (int i = 0; i < ticking_count; i++) if (ticking[i]->next_tick < soonest) soonest = ticking[i]->next_tick;
    struct timespec wait = span(soonest > at ? soonest - at : 0);
    int n = epoll_pwait2(poller, ready, 256, ticking_count ? &wait : NULL, NULL);
    for (int i = 0; i < n; i++) {
      Conn *c = ready[i].data.ptr;
      if (!c) {
        int fd;
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
          c = calloc(1, sizeof *c);
          c->fd = fd, c->slot = -1;
          added = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c};
          epoll_ctl(poller, EPOLL_CTL_ADD, fd, &added);
        }
        continue;
      }
      if (((ready[i].events & EPOLLOUT) && !flush(c)) || ((ready[i].events & ~EPOLLOUT) && !read_some(c))) drop(c);
    }
    at = now();
    for (int i = 0; i < ticking_count; i++) {
      if (ticking[i]->next_tick > at) continue;
      ticking[i]->next_tick += tick;
      event(ticking[i], 0);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: upstream PORT ANSWER-BYTES TICK-MS");
  long body = atol(argv[2]);
  tick = strtoull(argv[3], NULL, 10) * 1000000;
  char head[256];
  static const char before[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"", after[] = "\"}],\"isError\":false}}";
  long frame = sizeof before + sizeof after - 2;
  if (body < frame) die("too few bytes for an answer");
  int n = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %ld\r\n\r\n", body);
  answer = malloc(n + body + 1);
  memcpy(answer, head, n);
  memcpy(answer + n, before, sizeof before - 1);
  memset(answer + n + sizeof before - 1, 'x', body - frame);
  memcpy(answer + n + body - (sizeof after - 1), after, sizeof after - 1);
  answer_size = n + body;
  serve(listen_on(atoi(argv[1])));
}
