// What the small tools of the benchmark share.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define die(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))

// Nanoseconds of the clock that all processes of the machine share.
static inline uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct timespec span(uint64_t nanoseconds) {
  return (struct timespec){.tv_sec = (time_t)(nanoseconds / 1000000000u), .tv_nsec = (long)(nanoseconds % 1000000000u)};
}

static inline struct sockaddr_in loopback(int port, int host) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(0x7f000000u + (uint32_t)host)};
}

static inline int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = loopback(port, 1);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) die("cannot listen on %d: %s", port, strerror(errno));
  return fd;
}

// A blocking connection to 127.0.0.1:port, from 127.0.0.`source` unless that is 0.
static inline int connect_to(int port, int source) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in from = loopback(0, source), to = loopback(port, 1);
  if (fd < 0) die("socket: %s", strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  if (source) {
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) die("bind: %s", strerror(errno));
  }
  if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("cannot connect to %d: %s", port, strerror(errno));
  return fd;
}

static inline void nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

// The content of a file, with a zero byte behind it.
static inline char *content(const char *path, long *size) {
  FILE *file = fopen(path, "rb");
  if (!file) die("%s: %s", path, strerror(errno));
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  char *data = malloc((size_t)*size + 1);
  if (fread(data, 1, (size_t)*size, file) != (size_t)*size) die("%s is unreadable", path);
  data[*size] = 0;
  fclose(file);
  return data;
}

static inline int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

// A quantile of sorted nanoseconds, in milliseconds.
static inline double quantile(const uint64_t *sorted, long count, double q) {
  if (!count) return 0;
  long at = (long)((double)count * q);
  return (double)sorted[at < count ? at : count - 1] / 1e6;
}
