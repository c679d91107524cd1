// A socket as OpenSSL sees it (a BIO) that spares system calls: it knows from short reads and from events when the socket is empty,
// and gathers what a handshake writes until it is told to send.
#ifndef COPENSSL_LINK_H
#define COPENSSL_LINK_H
#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct coatcheck_link {
  int descriptor;
  // errno of the failure that broke it; 0: none.
  int error;
  // A read could bring something. Whoever hears of an event sets it; the first event tells of what came before.
  unsigned char may_have_bytes;
  // The end of the stream was announced: no event follows.
  unsigned char is_ending;
  unsigned char has_ended;
  // Writes are kept in `pending`.
  unsigned char is_gathering;
  unsigned int pending_count, pending_capacity;
  unsigned char *pending;
};

// More than any flight of a handshake but one with a chain of unusual length.
enum { COATCHECK_LINK_MAX_PENDING = 64 << 10 };

static inline struct coatcheck_link *coatcheck_link_of(BIO *bio) { return (struct coatcheck_link *)BIO_get_data(bio); }

// Sends what was gathered and then `count` bytes. Returns how many of the latter were taken; -1: none, for now or (with `error`) for good.
static inline long coatcheck_link_send(struct coatcheck_link *link, const char *bytes, size_t count) {
  for (;;) {
    struct iovec parts[2] = {{link->pending, link->pending_count}, {(void *)bytes, count}};
    int first = link->pending_count == 0;
    struct msghdr message = {.msg_iov = parts + first, .msg_iovlen = (size_t)(count == 0 ? 1 : 2 - first)};
    ssize_t sent = sendmsg(link->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) link->error = errno;
      return -1;
    }
    if ((size_t)sent < link->pending_count) {
      link->pending_count -= (unsigned int)sent;
      memmove(link->pending, link->pending + sent, link->pending_count);
      return -1;
    }
    long taken = (long)sent - (long)link->pending_count;
    free(link->pending);
    link->pending = NULL;
    link->pending_count = link->pending_capacity = 0;
    return taken > 0 || count == 0 ? taken : -1;
  }
}

// Sends what was gathered. 1: all of it; 0: not yet; -1: the connection is broken.
static inline int coatcheck_link_flush(struct coatcheck_link *link) {
  if (link->pending_count == 0 || coatcheck_link_send(link, NULL, 0) == 0) return 1;
  return link->error == 0 ? 0 : -1;
}

static inline int coatcheck_link_gather(struct coatcheck_link *link, const char *bytes, size_t count) {
  if (count > COATCHECK_LINK_MAX_PENDING - link->pending_count) return 0;
  unsigned int needed = link->pending_count + (unsigned int)count;
  if (needed > link->pending_capacity) {
    unsigned int capacity = needed < 2048 ? 2048 : needed * 2;
    unsigned char *larger = (unsigned char *)realloc(link->pending, capacity);
    if (larger == NULL) return 0;
    link->pending = larger;
    link->pending_capacity = capacity;
  }
  memcpy(link->pending + link->pending_count, bytes, count);
  link->pending_count = needed;
  return 1;
}

static inline int coatcheck_link_write(BIO *bio, const char *bytes, int count) {
  struct coatcheck_link *link = coatcheck_link_of(bio);
  BIO_clear_retry_flags(bio);
  if (count <= 0) return 0;
  if (link->is_gathering && coatcheck_link_gather(link, bytes, (size_t)count)) return count;
  long taken = coatcheck_link_send(link, bytes, (size_t)count);
  if (taken < 0 && link->error == 0) BIO_set_retry_write(bio);
  return (int)taken;
}

static inline int coatcheck_link_read(BIO *bio, char *bytes, int count) {
  struct coatcheck_link *link = coatcheck_link_of(bio);
  BIO_clear_retry_flags(bio);
  if (count <= 0) return 0;
  while (link->may_have_bytes) {
    ssize_t got = recv(link->descriptor, bytes, (size_t)count, MSG_DONTWAIT);
    if (got > 0) {
      link->may_have_bytes = got == count || link->is_ending;
      return (int)got;
    }
    if (got == 0) {
      link->has_ended = 1;
      return 0;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      link->error = errno;
      return -1;
    }
    link->may_have_bytes = 0;
  }
  BIO_set_retry_read(bio);
  return -1;
}

static inline long coatcheck_link_control(BIO *bio, int command, long number, void *pointer) {
  (void)number, (void)pointer;
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return coatcheck_link_of(bio)->has_ended;
    default: return 0;
  }
}

static inline int coatcheck_link_destroy(BIO *bio) {
  struct coatcheck_link *link = coatcheck_link_of(bio);
  if (link != NULL) free(link->pending);
  free(link);
  BIO_set_data(bio, NULL);
  return 1;
}

// Where the one method of the process stands.
static inline BIO_METHOD **coatcheck_link_method_place(void) {
  static BIO_METHOD *method;
  return &method;
}

static inline void coatcheck_link_make_method(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link");
  if (method == NULL) return;
  BIO_meth_set_write(method, coatcheck_link_write);
  BIO_meth_set_read(method, coatcheck_link_read);
  BIO_meth_set_ctrl(method, coatcheck_link_control);
  BIO_meth_set_destroy(method, coatcheck_link_destroy);
  *coatcheck_link_method_place() = method;
}

// How OpenSSL drives such sockets: made once, by whichever thread comes first, and never changed. NULL without memory.
static inline const BIO_METHOD *coatcheck_link_method(void) {
  static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
  CRYPTO_THREAD_run_once(&once, coatcheck_link_make_method);
  return *coatcheck_link_method_place();
}

// Puts a session on a socket, which stays the caller's. What is returned lives as long as the session; NULL without memory.
static inline struct coatcheck_link *coatcheck_link_attach(SSL *ssl, const BIO_METHOD *method, int descriptor) {
  struct coatcheck_link *link = (struct coatcheck_link *)calloc(1, sizeof *link);
  BIO *bio = link == NULL || method == NULL ? NULL : BIO_new(method);
  if (bio == NULL) {
    free(link);
    return NULL;
  }
  link->descriptor = descriptor;
  link->is_gathering = 1;
  BIO_set_data(bio, link);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  return link;
}
#endif
