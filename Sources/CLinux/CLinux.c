#define _GNU_SOURCE
#include <fcntl.h>
#include "CLinux.h"
#include <link.h>
#include <malloc.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_EVENTS 256

int coatcheck_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int epoll, int operation, int descriptor, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(epoll, operation, descriptor, &event);
}

int coatcheck_epoll_add(int epoll, int descriptor, uint64_t data) {
  return control(epoll, EPOLL_CTL_ADD, descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, data);
}

int coatcheck_epoll_modify(int epoll, int descriptor, uint64_t data) {
  return control(epoll, EPOLL_CTL_MOD, descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, data);
}

int coatcheck_epoll_add_level(int epoll, int descriptor, uint64_t data) {
  return control(epoll, EPOLL_CTL_ADD, descriptor, EPOLLIN, data);
}

int coatcheck_epoll_remove(int epoll, int descriptor) { return control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0); }

int coatcheck_epoll_wait(int epoll, coatcheck_event *events, int capacity, int timeout_ms) {
  struct epoll_event found[MAX_EVENTS];
  int most = capacity < MAX_EVENTS ? capacity : MAX_EVENTS;
  int count = (int)syscall(SYS_epoll_pwait, epoll, found, most, timeout_ms, NULL, 8);
  for (int i = 0; i < count; i++) {
    events[i].events = found[i].events;
    events[i].data = found[i].data.u64;
  }
  return count;
}

const void *coatcheck_find(const void *haystack, size_t count, const void *needle, size_t needle_count) {
  return memmem(haystack, count, needle, needle_count);
}

ssize_t coatcheck_receive(int descriptor, void *bytes, size_t count) {
  return syscall(SYS_recvfrom, descriptor, bytes, count, MSG_DONTWAIT, NULL, NULL);
}

ssize_t coatcheck_send(int descriptor, const void *bytes, size_t count) {
  return syscall(SYS_sendto, descriptor, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

int coatcheck_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int coatcheck_accept(int listener, struct sockaddr *address, socklen_t *length) {
  return accept4(listener, address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

// A descriptor below 3 that is closed at the start would be the next one that is opened: an epoll, a socket or a file would then get
// what is written for the log. Before main, because the runtime opens descriptors of its own.
__attribute__((constructor)) static void keep_standard_descriptors(void) {
  for (int descriptor = 0; descriptor < 3; descriptor++) {
    if (fcntl(descriptor, F_GETFD) != -1) continue;
    // The lowest free number is this one: those below it are open by now.
    if (open("/dev/null", O_RDWR) != descriptor) return;
  }
}

// Segments that cannot be written are the same in memory as in their file, so nothing is lost with their pages.
static int release_segments(struct dl_phdr_info *object, size_t size, void *nothing) {
  (void)size, (void)nothing;
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  // The kernel's own object has no file behind it.
  if (strstr(object->dlpi_name, "vdso") != NULL) return 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0) continue;
    uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
    uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);
    if (end > start) madvise((void *)start, end - start, MADV_DONTNEED);
  }
  return 0;
}

void coatcheck_release_code(void) { dl_iterate_phdr(release_segments, NULL); }

void coatcheck_release_heap(void) { malloc_trim(0); }
