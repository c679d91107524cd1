// OpenSSL 3 as the distribution ships it. Macros that Swift cannot import get static inline twins here.
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

static inline int coatcheck_set_min_version(SSL_CTX *context, int version) {
  return (int)SSL_CTX_set_min_proto_version(context, version);
}
// Partial writes from a buffer that moves, memory given back while idle, and one read(2) for a whole record.
static inline void coatcheck_set_modes(SSL_CTX *context) {
  SSL_CTX_set_read_ahead(context, 1);
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
// An encrypted key file is an error; without this OpenSSL would ask for its password on the terminal.
static inline int coatcheck_no_password(char *buffer, int size, int writing, void *argument) {
  (void)buffer, (void)size, (void)writing, (void)argument;
  return -1;
}
static inline void coatcheck_never_ask_password(SSL_CTX *context) {
  SSL_CTX_set_default_passwd_cb(context, coatcheck_no_password);
}
static inline void coatcheck_set_owner(SSL_CTX *context, void *owner) { SSL_CTX_set_ex_data(context, 0, owner); }
static inline void *coatcheck_owner(SSL *ssl) { return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0); }
// Sets up AES-256-CBC and HMAC-SHA256, both with 32-byte keys, for one session ticket (RFC 5077 section 4).
static inline int coatcheck_set_ticket_keys(
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const unsigned char *encryption_key, const unsigned char *mac_key,
    const unsigned char *iv, int is_sealing) {
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)mac_key, 32),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, encryption_key, iv, is_sealing) == 1 &&
         EVP_MAC_CTX_set_params(mac, parameters) == 1;
}
static inline int coatcheck_is_system_error(unsigned long error) { return ERR_SYSTEM_ERROR(error); }
static inline int coatcheck_reason(unsigned long error) { return ERR_GET_REASON(error); }
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
