"""Sessions in Redis: they belong to no process, and Redis learns nothing of them."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import pytest

from processes import free_port, wait_until
from proxy import merged
from support import http
from support.authority import Authority
from support.redis import PASSWORD, RedisCluster, RedisSentinels, RedisServer, secret_file
from support.visitor import Visitor, login_required


def key_file(binary, path):
    path.write_text(subprocess.run([binary, "key"], capture_output=True, text=True, check=True).stdout)
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def key(binary, tmp_path) -> str:
    return key_file(binary, tmp_path / "session.key")


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A server for all tests of the module: each takes a prefix of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis"), durable=True) as server:
        yield server


@pytest.fixture
def shared(proxy, redis, key, request):
    """Starts proxies that share the sessions of this test."""
    prefix = f"test.{abs(hash(request.node.name)) % 10**9}:"
    session = {"session": {"encryption_key_files": [key], "store": redis.store(key_prefix=prefix)}}
    return lambda changes=None, **options: proxy(merged(session, changes or {}), **options)


def on(one, visitor: Visitor, provider) -> Visitor:
    """The same browser at another proxy."""
    there = Visitor(one, provider, visitor.user)
    there.cookies = dict(visitor.cookies)
    return there


def refused(proxy, *changes: dict) -> str:
    """What a proxy says that does not start."""
    with pytest.raises(RuntimeError) as error:
        proxy(*changes)
    return str(error.value)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_session_survives_the_proxy(shared, provider, end):
    one = shared()
    harvey = Visitor(one, provider, "harvey").sign_in()
    assert harvey.who() == "harvey"
    one.kill() if end == "kill" else one.stop()
    one.start()
    assert harvey.who() == "harvey"
    assert provider.count["refresh_token"] == 0
    assert http.request(one.admin_url, "GET", "/readyz").status == 200


def test_a_second_proxy_serves_the_same_cookie_and_hears_of_the_sign_out(shared, provider):
    one, two = shared(), shared()
    harvey = Visitor(one, provider, "harvey").sign_in()
    there = on(two, harvey, provider)
    assert (harvey.who(), there.who()) == ("harvey", "harvey")
    cookies = dict(harvey.cookies)
    harvey.sign_out()
    there.cookies = cookies
    wait_until(lambda: there.call().status == 401, "the other proxy to hear of it", 5)
    login_required(there.call())


def test_a_sign_in_that_was_begun_at_one_proxy_is_finished_at_another(shared, provider):
    one = shared()
    harvey = Visitor(one, provider)
    callback = provider.approve(harvey.start_sign_in("/pages/x"), "harvey")
    one.kill()
    # At the same address, and with nothing that the first one had.
    two = shared(port=one.port)
    assert harvey.come_back(callback).location.removeprefix(two.url) == "/pages/x"
    assert harvey.who() == "harvey"


def test_redis_holds_no_usable_secret(shared, redis, provider):
    one = shared()
    harvey = Visitor(one, provider).sign_in()
    harvey.start_sign_in()
    harvey.who()
    content = redis.dump()
    assert len(content) > 2000
    for secret in provider.issued + list(harvey.cookies.values()) + ["CANARY", "harvey"]:
        assert secret.encode() not in content, secret


def test_every_key_is_under_the_prefix_and_has_an_end(shared, redis, provider):
    before = set(redis.keys())
    one = shared()
    Visitor(one, provider).sign_in().who()
    prefix = one.config["session"]["store"]["redis"]["key_prefix"].encode()
    new = [key for key in redis.keys() if key not in before]
    assert len(new) > 4 and all(key.startswith(prefix) for key in new)
    with redis.connect() as connection:
        assert all(connection("PTTL", key) > 0 for key in new)


@pytest.mark.parametrize("certificate", [False, True], ids=["server certificate", "client certificate"])
def test_tls_user_password_database_and_prefix(proxy, provider, key, tmp_path, certificate):
    authority = Authority(tmp_path / "authority")
    users = [f"user proxy on >{PASSWORD} ~apart:* &apart:* +@all -@admin -@dangerous"]
    with RedisServer(tmp_path, authority=authority, client_certificates=certificate, password="CANARY-of-default", users=users) as server:
        changes = {"username": "proxy", "password_file": secret_file(tmp_path, PASSWORD), "database": 3, "key_prefix": "apart:"}
        if certificate:
            crt, private = authority.issue("proxy", "proxy")
            changes |= {"certificate_file": str(crt), "private_key_file": str(private)}
        one = proxy({"session": {"encryption_key_files": [key], "store": server.store(**changes)}})
        harvey = Visitor(one, provider).sign_in()
        assert harvey.who() == "harvey"
        one.stop()
        one.start()
        assert harvey.who() == "harvey"
        assert not server.keys() and server.keys("apart:*", database=3)
        assert one.stop() == 0


def test_a_certificate_that_is_not_trusted_keeps_the_proxy_from_starting(proxy, key, tmp_path):
    with RedisServer(tmp_path, authority=Authority(tmp_path / "theirs")) as server:
        other = Authority(tmp_path / "ours")
        said = refused(proxy, {"session": {"encryption_key_files": [key], "store": server.store(ca_file=str(other.ca), connect_timeout="200ms")}})
        assert f"session.store.redis {server.address}" in said and "certificate" in said.lower()


def test_a_cluster_of_three(proxy, provider, key, tmp_path):
    with RedisCluster(tmp_path) as cluster:
        session = {"session": {"encryption_key_files": [key], "store": cluster.store()}}
        one, two = proxy(session), proxy(session)
        visitors = [Visitor(one, provider, f"user{index}").sign_in() for index in range(6)]
        for visitor in visitors:
            assert on(two, visitor, provider).who() == visitor.user
        assert sum(len(node.keys("coatcheck:*")) > 0 for node in cluster.masters) >= 2
        content = cluster.dump()
        assert not [secret for secret in provider.issued if secret.encode() in content]
        assert (one.stop(), two.stop()) == (0, 0)


def test_sentinels_and_the_end_of_the_master(proxy, provider, key, tmp_path):
    with RedisSentinels(tmp_path) as sentinels:
        one = proxy({"session": {"encryption_key_files": [key], "store": sentinels.store()}})
        harvey = Visitor(one, provider).sign_in()
        wait_until(lambda: sentinels.replica.keys("coatcheck:*"), "the replica to have it")
        sentinels.fail_over()
        wait_until(lambda: http.request(one.admin_url, "GET", "/readyz").status == 200, "the proxy to find the new master", 20)
        assert harvey.who() == "harvey"
        assert Visitor(one, provider, "kim").sign_in().who() == "kim"
        assert one.stop() == 0


def test_it_waits_a_little_for_redis_at_its_start(proxy, provider, key, tmp_path):
    server, done = RedisServer(tmp_path), threading.Event()

    def late():
        # Later than the first tries. A child ends with the thread that made it.
        time.sleep(0.7)
        server.start()
        done.wait(40)

    starter = threading.Thread(target=late)
    starter.start()
    try:
        one = proxy({"session": {"encryption_key_files": [key], "store": server.store()}})
        assert Visitor(one, provider).sign_in().who() == "harvey"
        assert one.stop() == 0
    finally:
        done.set()
        starter.join()
        server.stop()


def test_without_redis_it_does_not_start_and_names_node_and_cause(proxy, key):
    port = free_port()
    store = {"type": "redis", "path": None, "redis": {"nodes": [f"127.0.0.1:{port}"], "connect_timeout": "100ms"}}
    said = refused(proxy, {"session": {"encryption_key_files": [key], "store": store}})
    assert f"session.store.redis 127.0.0.1:{port}" in said and "refused" in said.lower()
    assert "ended with 1" in said, "it is no mistake of the configuration"


def test_a_wrong_password_is_told_without_it(proxy, key, tmp_path):
    with RedisServer(tmp_path, password="CANARY-right") as server:
        changes = {"password_file": secret_file(tmp_path, "CANARY-wrong"), "connect_timeout": "100ms"}
        said = refused(proxy, {"session": {"encryption_key_files": [key], "store": server.store(**changes)}})
        assert server.address in said and "password" in said and "CANARY" not in said


def test_a_user_who_may_not_publish_is_told_at_the_start(proxy, key, tmp_path):
    users = [f"user proxy on >{PASSWORD} ~coatcheck:* resetchannels +@all -@admin -@dangerous"]
    with RedisServer(tmp_path, users=users) as server:
        changes = {"username": "proxy", "password_file": secret_file(tmp_path, PASSWORD), "connect_timeout": "100ms"}
        said = refused(proxy, {"session": {"encryption_key_files": [key], "store": server.store(**changes)}})
        assert server.address in said and "channel" in said and "CANARY" not in said


def test_other_keys_than_the_other_proxies_have_are_refused(shared, binary, tmp_path):
    shared()
    said = refused(shared, {"session": {"encryption_key_files": [key_file(binary, tmp_path / "other.key")]}})
    assert "ended with 78" in said and "session.encryption_key_files" in said


def test_sessions_of_a_later_release_are_refused_with_what_to_do(shared, redis):
    one = shared()
    one.stop()
    meta = f"{one.config['session']['store']['redis']['key_prefix']}{{meta}}"
    redis.command("HSET", meta, "version", 9, "oldest", 8)
    with pytest.raises(RuntimeError) as error:
        one.start()
    one.ended = True
    assert "ended with 78" in str(error.value) and "version 9" in str(error.value)
    redis.command("HSET", meta, "version", 9, "oldest", 1)
    one.start()


def test_what_redis_evicts_is_signed_out_and_nothing_else(shared, redis, provider):
    one = shared()
    harvey, kim = Visitor(one, provider).sign_in(), Visitor(one, provider, "kim").sign_in()
    one.stop()
    prefix = one.config["session"]["store"]["redis"]["key_prefix"].encode()
    rows = [key for key in redis.keys() if key.startswith(prefix) and b"}s:" in key]
    assert len(rows) == 2
    redis.command("DEL", rows[0])
    one.start()
    served = [visitor.call().status for visitor in (harvey, kim)]
    assert sorted(served) == [200, 401]
    assert Visitor(one, provider).sign_in().who() == "harvey"


def check(binary, one, *options) -> subprocess.CompletedProcess:
    return subprocess.run([binary, "check", *options, one.config_file], capture_output=True, text=True, cwd=one.directory)


def test_the_online_check_tells_of_redis(shared, redis, binary):
    one = shared()
    done = check(binary, one, "--online")
    assert f"OK session.store.redis: {redis.address} answers, the keys open what is there" in done.stdout, done.stdout
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        assert "WARNING session.store.redis: maxmemory-policy is allkeys-lru" in check(binary, one, "--online").stdout
    finally:
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_the_online_check_tells_that_redis_is_not_there_and_changes_nothing(shared, redis, binary):
    one = shared()
    one.stop()
    before = redis.dump()
    one.config["session"]["store"]["redis"]["key_prefix"] = "nobody.was.here:"
    one.config_file.write_text(json.dumps(one.config))
    assert "nothing is kept there yet" in check(binary, one, "--online").stdout
    assert redis.dump() == before
    port = free_port()
    one.config["session"]["store"]["redis"]["nodes"] = [f"127.0.0.1:{port}"]
    one.config_file.write_text(json.dumps(one.config))
    done = check(binary, one, "--online")
    assert done.returncode == 1 and f"ERROR session.store.redis: 127.0.0.1:{port}" in done.stdout
    assert check(binary, one).returncode == 0, "the file itself is sound"
