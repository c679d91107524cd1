// OpenSSL 3 as the distribution ships it. Macros that Swift cannot import get static inline twins here.
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "link.h"

static inline int coatcheck_set_min_version(SSL_CTX *context, int version) {
  return (int)SSL_CTX_set_min_proto_version(context, version);
}
// Partial writes from a buffer that moves, memory given back while idle, and one read(2) for a whole record.
static inline void coatcheck_set_modes(SSL_CTX *context) {
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}
static inline void coatcheck_set_server_options(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Without the large and slow groups, with which a client could keep a server busy.
  SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
  // A client that uses a ticket once has one for each connection it had (RFC 8446 section C.4); each resumption brings the next.
  SSL_CTX_set_num_tickets(context, 1);
  // Tickets are all: a table of sessions here would take memory and be lost with every renewal.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}
static inline void coatcheck_set_client_options(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}
static inline int coatcheck_set_server_name(SSL *ssl, const char *name) {
  return (int)SSL_set_tlsext_host_name(ssl, (char *)name);
}
typedef int (*coatcheck_server_name_callback)(SSL *, int *, void *);
static inline void coatcheck_set_server_name_callback(SSL_CTX *context, coatcheck_server_name_callback callback) {
  SSL_CTX_set_tlsext_servername_callback(context, callback);
}
static inline void coatcheck_set_session_owner(SSL *ssl, void *owner) { SSL_set_app_data(ssl, owner); }
static inline void *coatcheck_session_owner(SSL *ssl) { return SSL_get_app_data(ssl); }
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
// Seconds since the epoch; -1 when there is no such moment.
static inline long coatcheck_seconds(const ASN1_TIME *time) {
  struct tm parts;
  return time != NULL && ASN1_TIME_to_tm(time, &parts) == 1 ? (long)timegm(&parts) : -1;
}
// OCSP stapling (RFC 6066 section 8, RFC 6960).
typedef int (*coatcheck_status_callback)(SSL *, void *);
static inline void coatcheck_set_status_callback(SSL_CTX *context, coatcheck_status_callback callback, void *argument) {
  SSL_CTX_set_tlsext_status_cb(context, callback);
  SSL_CTX_set_tlsext_status_arg(context, argument);
}
// OpenSSL frees what it is given.
static inline int coatcheck_show_status(SSL *ssl, const unsigned char *response, long count) {
  unsigned char *copy = OPENSSL_memdup(response, (size_t)count);
  if (copy == NULL) return 0;
  if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, count) == 1) return 1;
  OPENSSL_free(copy);
  return 0;
}
static inline void coatcheck_free(void *block) { OPENSSL_free(block); }
static inline OCSP_RESPONSE *coatcheck_read_ocsp_response(BIO *bio) { return d2i_OCSP_RESPONSE_bio(bio, NULL); }
static inline X509 *coatcheck_issuer_in_chain(SSL_CTX *context, X509 *certificate) {
  STACK_OF(X509) *chain = NULL;
  if (SSL_CTX_get_extra_chain_certs(context, &chain) != 1 || chain == NULL) return NULL;
  for (int i = 0; i < sk_X509_num(chain); i++) {
    X509 *candidate = sk_X509_value(chain, i);
    if (X509_check_issued(candidate, certificate) == X509_V_OK) return candidate;
  }
  return NULL;
}
// Whether the authority itself signed the response, or somebody it named for that (RFC 6960 section 4.2.2.2).
static inline int coatcheck_ocsp_is_signed(OCSP_BASICRESP *basic, X509 *issuer) {
  int result = 0;
  X509_STORE *store = X509_STORE_new();
  STACK_OF(X509) *others = sk_X509_new_null();
  if (store != NULL && others != NULL && X509_STORE_add_cert(store, issuer) == 1 && sk_X509_push(others, issuer) > 0) {
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    result = OCSP_basic_verify(basic, others, store, 0) == 1;
  }
  sk_X509_free(others);
  X509_STORE_free(store);
  return result;
}
enum { COATCHECK_OCSP_GOOD, COATCHECK_OCSP_ABSENT, COATCHECK_OCSP_STALE, COATCHECK_OCSP_BAD };
// What the response says of the certificate, and until when; `next` belongs to the response.
static inline int coatcheck_ocsp_find(
    OCSP_BASICRESP *basic, X509 *certificate, X509 *issuer, long skew, ASN1_TIME **next) {
  for (int i = 0; i < OCSP_resp_count(basic); i++) {
    OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
    const OCSP_CERTID *said = OCSP_SINGLERESP_get0_id(single);
    ASN1_OBJECT *digest = NULL;
    if (OCSP_id_get0_info(NULL, &digest, NULL, NULL, (OCSP_CERTID *)said) != 1) continue;
    OCSP_CERTID *ours = OCSP_cert_to_id(EVP_get_digestbyobj(digest), certificate, issuer);
    int is_ours = ours != NULL && OCSP_id_cmp(ours, said) == 0;
    OCSP_CERTID_free(ours);
    if (!is_ours) continue;
    ASN1_GENERALIZEDTIME *from = NULL;
    int status = OCSP_single_get0_status(single, NULL, NULL, &from, next);
    if (OCSP_check_validity(from, *next, skew, -1) != 1) return COATCHECK_OCSP_STALE;
    return status == V_OCSP_CERTSTATUS_GOOD ? COATCHECK_OCSP_GOOD : COATCHECK_OCSP_BAD;
  }
  return COATCHECK_OCSP_ABSENT;
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
