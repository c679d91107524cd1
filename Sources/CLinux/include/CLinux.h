// Linux calls that Swift's Glibc overlay does not show: epoll, eventfd, accept4, memmem. Thin twins; each returns what the call returns
// and leaves errno as the call left it.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

typedef struct {
  uint32_t events;
  uint64_t data;
} coatcheck_event;

enum {
  COATCHECK_IN = 0x001,
  COATCHECK_OUT = 0x004,
  COATCHECK_ERR = 0x008,
  COATCHECK_HUP = 0x010,
  COATCHECK_RDHUP = 0x2000,
};

int coatcheck_epoll_create(void);
// Edge-triggered, both directions and the peer's half-close.
int coatcheck_epoll_add(int epoll, int descriptor, uint64_t data);
int coatcheck_epoll_modify(int epoll, int descriptor, uint64_t data);
// Level-triggered, input only: for the mailbox and for listeners.
int coatcheck_epoll_add_level(int epoll, int descriptor, uint64_t data);
int coatcheck_epoll_remove(int epoll, int descriptor);
int coatcheck_epoll_wait(int epoll, coatcheck_event *events, int capacity, int timeout_ms);

// memmem(3).
const void *coatcheck_find(const void *haystack, size_t count, const void *needle, size_t needle_count);

// recv(2) and send(2) that never wait and never raise SIGPIPE. Called directly: glibc's own are points of thread cancellation, which nobody
// uses here and every call pays for.
ssize_t coatcheck_receive(int descriptor, void *bytes, size_t count);
ssize_t coatcheck_send(int descriptor, const void *bytes, size_t count);

// Gives the pages of program code and constants back to the page cache, where the next use finds them.
void coatcheck_release_code(void);
// malloc_trim(3): gives back the free pages of all arenas.
void coatcheck_release_heap(void);

int coatcheck_eventfd(void);
int coatcheck_accept(int listener, struct sockaddr *address, socklen_t *length);

#endif
