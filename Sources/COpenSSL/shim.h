// OpenSSL 3 as the distribution ships it. Macros that Swift cannot import get static inline twins here.
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H
#include <openssl/ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#endif
