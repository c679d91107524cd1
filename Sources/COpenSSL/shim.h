// OpenSSL 3 as the distribution ships it. Macros that Swift cannot import get static inline twins here.
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

static inline int coatcheck_set_min_version(SSL_CTX *context, int version) {
  return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline void coatcheck_set_modes(SSL_CTX *context) {
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}
static inline void coatcheck_set_server_options(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
}
static inline void coatcheck_set_client_options(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}
static inline int coatcheck_set_server_name(SSL *ssl, const char *name) {
  return (int)SSL_set_tlsext_host_name(ssl, (char *)name);
}
typedef int (*coatcheck_server_name_callback)(SSL *, int *, void *);
static inline void coatcheck_set_server_name_callback(SSL_CTX *context, coatcheck_server_name_callback callback, void *argument) {
  SSL_CTX_set_tlsext_servername_callback(context, callback);
  SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline int coatcheck_is_unexpected_eof(unsigned long error) {
  return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}
// Answers ALPN with http/1.1, the only protocol spoken; a client that offers only others is refused (RFC 7301 3.2).
static inline int coatcheck_select_http11(
    SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in, unsigned int inlen, void *arg) {
  (void)ssl;
  (void)arg;
  for (unsigned int i = 0; i + 1 <= inlen; i += 1u + in[i]) {
    if (in[i] == 8 && i + 9 <= inlen && memcmp(in + i + 1, "http/1.1", 8) == 0) {
      *out = in + i + 1;
      *outlen = 8;
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}
static inline void coatcheck_serve_http11(SSL_CTX *context) {
  SSL_CTX_set_alpn_select_cb(context, coatcheck_select_http11, NULL);
}
static inline int coatcheck_offer_http11(SSL_CTX *context) {
  static const unsigned char protocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  return SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols);
}
#endif
