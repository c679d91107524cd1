"""Real Redis servers: one alone, a cluster, a master with its sentinels. Each keeps its port when it is started again."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path

from processes import Service, free_port, wait_until

from .authority import Authority

PASSWORD = "CANARY-redis-password"


class RedisError(Exception):
    """An error answer."""


class Connection:
    """A client as small as can be: one command at a time, answers as bytes, ints, lists and None."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None):
        plain = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket = tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.file.close()
        self.socket.close()

    def __call__(self, *words: str | bytes | int):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._read()

    def _read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed by Redis")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        count = int(rest)
        if count < 0:
            return None
        if kind == b"$":
            return self.file.read(count + 2)[:-2]
        return [self._read() for _ in range(count)]


class RedisServer:
    """One `redis-server` on a port of its own.

    `authority`: with TLS alone, under a certificate of that authority. `password`: of the user `default`. `users`: ACL lines, such as
    `"user proxy on >secret ~coatcheck:* &coatcheck:* +@all -@admin"`. `durable`: what was written survives `kill`."""

    mode: list[str] = []

    def __init__(self, directory: Path, *, authority: Authority | None = None, client_certificates: bool = False, password: str | None = None,
                 users: list[str] = (), durable: bool = False, options: list[str] = (), name: str = "redis"):
        self.name, self.port, self.password = name, free_port(), password
        self.directory = directory / f"{name}-{self.port}"
        self.directory.mkdir(parents=True)
        self.authority = authority
        self.certificate = authority.issue(f"redis-{self.port}", "127.0.0.1", "localhost") if authority else None
        lines = ["bind 127.0.0.1", f"dir {self.directory}", 'save ""', f"appendonly {'yes' if durable else 'no'}", "appendfsync always", "daemonize no"]
        if authority:
            certificate, key = self.certificate
            lines += ["port 0", f"tls-port {self.port}", f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {authority.ca}",
                      f"tls-auth-clients {'yes' if client_certificates else 'no'}"]
        else:
            lines += [f"port {self.port}"]
        if password:
            lines += [f"requirepass {password}", f"masterauth {password}"]
        self.config = self.directory / "redis.conf"
        self.config.write_text("\n".join([*lines, *users, *options, ""]))
        self.service: Service | None = None

    def __enter__(self) -> "RedisServer":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> "RedisServer":
        self.service = Service(self.name, ["redis-server", str(self.config), *self.mode], self.directory / "redis.log", directory=self.directory)
        self.service.start(self.answers)
        return self

    def answers(self) -> bool:
        try:
            return self.command("PING") == b"PONG"
        except RedisError as error:
            return "NOAUTH" in str(error) or "NOPERM" in str(error)
        except OSError:
            return False

    def connect(self) -> Connection:
        """A connection signed in as the user `default`."""
        context = None
        if self.authority:
            context = ssl.create_default_context(cafile=self.authority.ca)
            context.load_cert_chain(*self.certificate)
        connection = Connection(self.port, context)
        if self.password:
            connection("AUTH", self.password)
        return connection

    def command(self, *words: str | bytes | int):
        with self.connect() as connection:
            return connection(*words)

    def keys(self, pattern: str = "*", database: int = 0) -> list[bytes]:
        with self.connect() as connection:
            if database:
                connection("SELECT", database)
            cursor, found = b"0", []
            while True:
                cursor, some = connection("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
                found += some
                if cursor == b"0":
                    return found

    def dump(self, database: int = 0) -> bytes:
        """Every key with everything in it, one after the other."""
        with self.connect() as connection:
            if database:
                connection("SELECT", database)
            return b"\n".join(key + b" " + flat(contents(connection, key)) for key in sorted(self.keys(database=database)))

    def stop(self) -> None:
        if self.service:
            self.resume()
            self.service.stop()

    def kill(self) -> None:
        self.service.kill()

    def restart(self) -> "RedisServer":
        self.stop()
        return self.start()

    def pause(self) -> None:
        """It keeps its connections and answers nothing any more."""
        self.service.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.service.signal(signal.SIGCONT)

    def drop_clients(self) -> None:
        """Closes every connection but sentinels' and replicas'."""
        for kind in ("normal", "pubsub"):
            self.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def store(self, **changes) -> dict:
        """`session.store` of a proxy that keeps its sessions here."""
        return store([self.address], {"ca_file": str(self.authority.ca), "tls": True} if self.authority else {}, changes)


def store(nodes: list[str], base: dict, changes: dict) -> dict:
    return {"type": "redis", "path": None, "redis": {"nodes": nodes} | base | changes}


class RedisCluster:
    """Masters that share the slots evenly; with `replicas`, as many for each of them."""

    def __init__(self, directory: Path, count: int = 3, replicas: int = 0, **options):
        more = lambda: ["cluster-enabled yes", f"cluster-port {free_port()}", "cluster-node-timeout 1000", "cluster-config-file nodes.conf"]
        make = lambda name: RedisServer(directory, name=name, **options | {"options": [*options.get("options", ()), *more()]})
        self.masters = [make(f"master{index}") for index in range(count)]
        self.replicas = [(make(f"replica{index}"), self.masters[index % count]) for index in range(count * replicas)]
        self.authority = options.get("authority")

    def __enter__(self) -> "RedisCluster":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def nodes(self) -> list[RedisServer]:
        return self.masters + [replica for replica, _ in self.replicas]

    def start(self) -> "RedisCluster":
        for node in self.nodes:
            node.start()
        count, first = len(self.masters), self.masters[0]
        for index, node in enumerate(self.masters):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            node.command("CLUSTER", "ADDSLOTSRANGE", 16384 * index // count, 16384 * (index + 1) // count - 1)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", first.port, self.bus_port(first))
        wait_until(lambda: all(self.knows(node) for node in self.nodes), "the cluster's nodes to know each other")
        for replica, master in self.replicas:
            replica.command("CLUSTER", "REPLICATE", master.command("CLUSTER", "MYID"))
        self.wait_ok()
        return self

    def wait_ok(self, seconds: float = 15) -> None:
        wait_until(lambda: all(self.is_ok(node) for node in self.nodes if node.service.running), "the cluster to be whole", seconds)

    @staticmethod
    def bus_port(node: RedisServer) -> int:
        return int(next(line.split()[1] for line in node.config.read_text().splitlines() if line.startswith("cluster-port ")))

    def knows(self, node: RedisServer) -> bool:
        return len([line for line in node.command("CLUSTER", "NODES").splitlines() if b"handshake" not in line]) == len(self.nodes)

    @staticmethod
    def is_ok(node: RedisServer) -> bool:
        return b"cluster_state:ok" in node.command("CLUSTER", "INFO")

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def dump(self) -> bytes:
        return b"\n".join(node.dump() for node in self.masters)

    def store(self, **changes) -> dict:
        base = {"mode": "cluster"} | ({"ca_file": str(self.authority.ca), "tls": True} if self.authority else {})
        return store([node.address for node in self.masters], base, changes)


class RedisSentinels:
    """A master, a replica of it, and sentinels that put the replica in its place when it is gone."""

    group = "sessions"

    def __init__(self, directory: Path, sentinels: int = 1, **options):
        self.master = RedisServer(directory, name="master", **options)
        own = list(options.pop("options", ()))
        self.replica = RedisServer(directory, name="replica", **options, options=[*own, f"replicaof 127.0.0.1 {self.master.port}"])
        password = options.get("password")
        lines = [f"sentinel monitor {self.group} 127.0.0.1 {self.master.port} {sentinels // 2 + 1}", f"sentinel down-after-milliseconds {self.group} 500",
                 f"sentinel failover-timeout {self.group} 3000", *([f"sentinel auth-pass {self.group} {password}"] if password else [])]
        self.sentinels = [_Sentinel(directory, name=f"sentinel{index}", options=lines) for index in range(sentinels)]

    def __enter__(self) -> "RedisSentinels":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> "RedisSentinels":
        self.master.start()
        self.replica.start()
        wait_until(lambda: b"master_link_status:up" in self.replica.command("INFO", "replication"), "the replica to follow")
        for one in self.sentinels:
            one.start()
        wait_until(lambda: all(self.sees_replica(one) for one in self.sentinels), "the sentinels to see the replica")
        return self

    def sees_replica(self, one: "_Sentinel") -> bool:
        return str(self.replica.port).encode() in flat(one.command("SENTINEL", "REPLICAS", self.group))

    def master_port(self) -> int:
        """The port of the master as the first sentinel sees it."""
        return int(self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.group)[1])

    def fail_over(self) -> None:
        """Kills the master and waits until the replica stands in its place."""
        self.master.kill()
        wait_until(lambda: self.master_port() == self.replica.port, "the sentinels to choose the replica", 20)
        wait_until(lambda: b"role:master" in self.replica.command("INFO", "replication"), "the replica to be the master")

    def stop(self) -> None:
        for one in [*self.sentinels, self.replica, self.master]:
            one.stop()

    def store(self, **changes) -> dict:
        return store([one.address for one in self.sentinels], {"mode": "sentinel", "master": self.group}, changes)


class _Sentinel(RedisServer):
    mode = ["--sentinel"]

    def __init__(self, directory: Path, *, name: str, options: list[str]):
        super().__init__(directory, name=name)
        self.config.write_text("\n".join(["bind 127.0.0.1", f"port {self.port}", f"dir {self.directory}", *options, ""]))


def contents(connection: Connection, key: bytes):
    match connection("TYPE", key):
        case b"string":
            return connection("GET", key)
        case b"hash":
            return connection("HGETALL", key)
        case b"set":
            return connection("SMEMBERS", key)
        case b"zset":
            return connection("ZRANGE", key, 0, -1, "WITHSCORES")
        case b"list":
            return connection("LRANGE", key, 0, -1)
        case other:
            return other


def flat(value) -> bytes:
    if isinstance(value, list):
        return b" ".join(flat(one) for one in value)
    return value if isinstance(value, bytes) else str(value).encode()


def secret_file(directory: Path, text: str, name: str = "redis-password") -> str:
    """A file with a secret, for keys that name one."""
    path = directory / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)
