"""Apache with mod_auth_openidc: the peer that does the same job, with a session whose token goes to the upstream."""

from __future__ import annotations

import os

from peers.base import Peer
from processes import Service, listens
from support.provider import CLIENT_ID

_MODULES = ["mpm_event", "authn_core", "authz_core", "authz_user", "headers", "env", "setenvif", "proxy", "proxy_http", "auth_openidc"]

_CONFIG = """\
ServerRoot /usr/lib/apache2
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
ListenBacklog 4096
PidFile {dir}/httpd.pid
DefaultRuntimeDir {dir}
Mutex sem
{user}
{modules}
ErrorLog {dir}/error.log
LogLevel warn
KeepAlive On
KeepAliveTimeout 600
MaxKeepAliveRequests 0
ServerLimit {processes}
StartServers {processes}
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers {threads}
MinSpareThreads {threads}
MaxSpareThreads {threads}
{tls}
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client}
OIDCClientSecret any-secret
OIDCProviderTokenEndpointAuth client_secret_post
OIDCRedirectURI {url}/oidc/callback
OIDCCryptoPassphrase passphrase-of-the-benchmark-0123456789
OIDCScope "openid profile email offline_access mcp.use"
OIDCResponseType code
OIDCPKCEMethod S256
OIDCCookieSameSite On
OIDCSessionType {session}
OIDCCacheType shm
OIDCCacheShmMax {cached}
OIDCPassClaimsAs environment
OIDCRefreshAccessTokenBeforeExpiry 30
<Location "/">
  AuthType openid-connect
  Require valid-user
  OIDCUnAuthAction auth
  RequestHeader unset Authorization
  RequestHeader set Authorization "Bearer %{{OIDC_access_token}}e" env=OIDC_access_token
  RequestHeader unset Cookie
</Location>
<Location "/mcp">
  OIDCUnAuthAction 401
</Location>
ProxyRequests Off
ProxyTimeout 3600
ProxyPass /oidc/ !
ProxyPass / http://127.0.0.1:{above}/ enablereuse=on keepalive=On flushpackets=on
"""


class Apache(Peer):
    name, title, signs_in = "apache", "Apache + mod_auth_openidc", True
    # Each stream keeps a thread.
    most_streams = 1000

    def run(self) -> Service:
        own, modules, tls = self.setting, list(_MODULES), ""
        if own.certificate:
            modules += ["socache_shmcb", "ssl"]
            tls = (f"SSLEngine on\nSSLProtocol TLSv1.3\nSSLSessionCache shmcb:{self.directory}/tls(5000000)\n"
                   f"SSLCertificateFile {own.certificate.certificate}\nSSLCertificateKeyFile {own.certificate.key}\n")
        processes = max(4, own.streams // 64 + 2)
        if os.geteuid() == 0:
            self.directory.chmod(0o777)
        config = self.file("httpd.conf", _CONFIG.format(
            port=self.port, dir=self.directory, user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
            modules="\n".join(f"LoadModule {name}_module modules/mod_{name}.so" for name in modules), processes=processes, threads=processes * 64, tls=tls,
            issuer=own.provider.issuer, client=CLIENT_ID, url=self.url, above=own.upstream,
            cached=3 * own.sessions + 1000, session="client-cookie" if own.lasting else "server-cache"))
        return Service(self.name, ["/usr/sbin/apache2", "-DFOREGROUND", "-f", config], self.directory / "out").start(lambda: listens(self.port))
