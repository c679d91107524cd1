"""Sealing keys that change while people are signed in: nobody is signed out, and what is not sound changes nothing."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
import ssl
import subprocess
import urllib.request

import pytest

from processes import free_port, wait_until
from support.upstream import Guarded, refuse
from support.visitor import ACCEPTED, URL_MODE, Client, Visitor, error_of, login_required, told

READ, REFUSED = "sealing keys read again", "the sealing keys were not taken"
DONE, LOST = "everything stored is sealed under the first key", "stored values open under none"


class Installation:
    """A proxy whose keys a test exchanges."""

    def __init__(self, proxy, provider, binary, directory, keys=("one",), changes=None, **options):
        self.provider, self.binary, self.directory = provider, binary, directory
        for name in ("one", "two", "three"):
            self.make(name)
        self.proxy = proxy({"session": {"encryption_key_files": [self.key(name) for name in keys]}} | (changes or {}), **options)

    def key(self, name: str) -> str:
        return str(self.directory / f"{name}.key")

    def make(self, name: str, content: str | None = None) -> str:
        text = content if content is not None else subprocess.run([self.binary, "key"], capture_output=True, text=True, check=True).stdout
        fresh = self.directory / f"{name}.new"
        fresh.write_text(text)
        fresh.chmod(0o600)
        os.replace(fresh, self.key(name))
        return self.key(name)

    def sign_in(self, name="harvey") -> Visitor:
        return Visitor(self.proxy, self.provider, name).sign_in()

    def write(self, *names: str) -> None:
        """The configuration with these keys."""
        self.proxy.config["session"]["encryption_key_files"] = [self.key(name) for name in names]
        self.proxy.config_file.write_text(json.dumps(self.proxy.config))

    def hang_up(self) -> str:
        """The line that tells what became of it."""
        lines = lambda: [line for line in self.proxy.output().splitlines() if READ in line or REFUSED in line]
        before = len(lines())
        self.proxy.service.signal(signal.SIGHUP)
        return wait_until(lambda: lines()[before:], "the keys to be read")[-1]

    def ring(self, *names: str) -> None:
        """Changes the keys by configuration and signal."""
        self.write(*names)
        assert READ in self.hang_up()

    def told(self, text: str, times: int = 1) -> str:
        lines = lambda: [line for line in self.proxy.output().splitlines() if text in line]
        return wait_until(lambda: lines() if len(lines()) >= times else None, f"the log to say: {text}")[-1]

    def metric(self, name: str) -> int:
        page = urllib.request.urlopen(f"{self.proxy.admin_url}/metrics", timeout=5).read().decode()
        return int(re.search(rf"^{name} (\d+)$", page, re.M)[1])

    def key_ids(self) -> set[bytes]:
        """Under which keys the rows are sealed."""
        with sqlite3.connect(f"file:{self.proxy.directory / 'sessions.db'}?mode=ro", uri=True) as file:
            return {row[0] for table in ("sessions", "records", "notes") for row in file.execute(f"SELECT DISTINCT substr(sealed, 2, 4) FROM {table}")}


@pytest.fixture
def installed(proxy, provider, binary, tmp_path):
    return lambda **options: Installation(proxy, provider, binary, tmp_path, **options)


def test_three_keys_one_after_the_other_sign_nobody_out(installed):
    one = installed()
    people = [one.sign_in("harvey"), one.sign_in("kim")]
    half = Visitor(one.proxy, one.provider, "harvey")
    callback = one.provider.approve(half.start_sign_in("/pages/x"), "harvey")
    before = one.key_ids()
    one.ring("two", "one")
    people.append(one.sign_in("harvey"))
    assert [who.who() for who in people] == ["harvey", "kim", "harvey"]
    one.told(DONE)
    after = one.key_ids()
    assert len(before) == len(after) == 1 and before != after
    one.ring("three", "two", "one")
    one.told(DONE, times=2)
    assert one.metric("coatcheck_sealing_keys") == 3
    # The old ones have sealed nothing any more.
    one.ring("three")
    assert one.metric("coatcheck_sealing_keys") == 1
    assert [who.who() for who in people] == ["harvey", "kim", "harvey"]
    # A sign-in that was begun under the first key is finished under the third.
    assert half.come_back(callback).location.removeprefix(one.proxy.url) == "/pages/x"
    one.proxy.kill()
    one.proxy.start()
    assert [who.who() for who in people + [half]] == ["harvey", "kim", "harvey", "harvey"]
    assert one.provider.count["refresh_token"] == 0


def test_changes_are_noticed_without_a_signal(installed, authority):
    port, (certificate, key) = free_port(), authority.issue("front", "127.0.0.1")
    url = f"https://127.0.0.1:{port}"
    tls = {"certificate_file": str(certificate), "private_key_file": str(key), "reload_interval": "50ms"}
    one = installed(changes={"public_url": url, "tls": tls}, port=port)
    harvey = Visitor(one.proxy, one.provider, "harvey", tls=ssl.create_default_context(cafile=authority.ca))
    harvey.url = url
    harvey.sign_in()
    before = one.key_ids()
    one.write("two", "one")
    one.told(DONE)
    assert harvey.who() == "harvey"
    after = one.key_ids()
    assert len(after) == 1 and after != before
    # A file that is replaced, by the key that is in use: the ring is not sound, and told once.
    one.make("one", open(one.key("two")).read())
    assert "the same key as in" in one.told(REFUSED)
    one.make("one")
    one.told(DONE, times=2)
    assert one.metric("coatcheck_sealing_key_reload_failures_total") == 1
    assert harvey.who() == "harvey"


def test_keys_may_change_in_their_files(installed):
    """As a mounted secret does: the same names, other contents."""
    one = installed(keys=("one", "two"))
    harvey = one.sign_in()
    old = open(one.key("one")).read()
    one.make("two", old)
    one.make("one")
    assert READ in one.hang_up()
    one.told(DONE)
    assert harvey.who() == "harvey"
    one.ring("one")
    one.proxy.kill()
    one.proxy.start()
    assert harvey.who() == "harvey"


def test_a_call_that_waits_for_consent_goes_on_after_a_change_of_the_key(installed, upstream):
    """Its `requestState`, which the client brings back, was sealed under the key before."""
    one = installed(changes={"consent": {"hold": "0s"}})
    upstream.on("files", Guarded("files.read", refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')))
    client = Client(one.sign_in(), capabilities=URL_MODE)
    question = told(client.call("files"))
    one.ring("two", "one")
    client.visitor.consent_through(question.url)
    retried = client.call("files", input={"requestState": question.state, "inputResponses": ACCEPTED})
    assert retried.json()["result"]["content"][0]["text"] == "done"
    one.told(DONE)
    one.ring("two")
    # Without that key it is not ours any more.
    late = client.call("files", input={"requestState": question.state, "inputResponses": ACCEPTED})
    assert error_of(late, 400)["data"]["reason"] == "invalid_request_state"


def test_an_old_key_that_goes_too_early_costs_its_sessions_and_no_others(installed):
    one = installed()
    harvey = one.sign_in()
    one.proxy.stop()
    with sqlite3.connect(one.proxy.directory / "sessions.db") as file:
        kept = file.execute("SELECT rowid, sealed FROM sessions").fetchall()
    one.proxy.start()
    kim = one.sign_in("kim")
    one.ring("two", "one")
    one.told(DONE)
    one.proxy.stop()
    # As it is when the walk through the rows did not get there.
    with sqlite3.connect(one.proxy.directory / "sessions.db") as file:
        file.executemany("UPDATE sessions SET sealed = ? WHERE rowid = ?", [(sealed, row) for row, sealed in kept])
    one.proxy.config["session"]["encryption_key_files"] = [one.key("two")]
    one.proxy.start()
    login_required(harvey.call())
    assert kim.who() == "kim"
    harvey.sign_in()
    assert (harvey.who(), kim.who()) == ("harvey", "kim")
    # Told at the next reading; and the key, put back, would have kept them.
    one.ring("two", "three")
    assert '1' in one.told(LOST)
    assert one.metric("coatcheck_unreadable_values") == 1
    one.ring("two", "one")
    one.told(DONE, times=2)
    assert one.metric("coatcheck_unreadable_values") == 0


UNSOUND = {
    "a file that is missing": lambda one: (os.unlink(one.key("two")), one.write("two", "one")),
    "a key of zeros": lambda one: (one.make("two", base64.b64encode(bytes(32)).decode()), one.write("two", "one")),
    "a password": lambda one: (one.make("two", base64.b64encode(b"correct horse battery staple 1!?").decode()), one.write("two", "one")),
    "an empty file": lambda one: (one.make("two", ""), one.write("two", "one")),
    "a file for everybody to read": lambda one: (os.chmod(one.key("two"), 0o644), one.write("two", "one")),
    "a key twice": lambda one: (one.make("two", open(one.key("one")).read()), one.write("two", "one")),
    "without the key in use": lambda one: one.write("two", "three"),
    "a configuration that is not one": lambda one: one.proxy.config_file.write_text("{"),
}


@pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND.keys())
def test_a_ring_that_is_not_sound_changes_nothing(installed, change):
    one = installed()
    harvey = one.sign_in()
    before = one.key_ids()
    change(one)
    line = one.hang_up()
    assert REFUSED in line, line
    assert one.metric("coatcheck_sealing_key_reload_failures_total") == 1
    assert one.metric("coatcheck_sealing_keys") == 1
    kim = one.sign_in("kim")
    assert (harvey.who(), kim.who()) == ("harvey", "kim")
    assert one.key_ids() == before
    # Repaired, it is taken.
    one.make("two")
    one.ring("two", "one")
    one.told(DONE)
    assert (harvey.who(), kim.who()) == ("harvey", "kim")
    assert one.key_ids().isdisjoint(before)


def test_weak_keys_are_refused_at_the_start_and_by_the_check_with_what_to_do(installed, binary):
    one = installed()
    one.proxy.stop()
    for content, reason in ((bytes(range(32)), "counts"), (b"correct horse battery staple 1!?", "text"), (bytes(32), "different bytes")):
        one.make("two", base64.urlsafe_b64encode(content).decode())
        one.write("two", "one")
        for command in ("run", "check"):
            done = subprocess.run([binary, command, one.proxy.config_file], capture_output=True, text=True, timeout=20, cwd=one.proxy.directory)
            assert done.returncode == 78 and reason in done.stderr and "two.key" in done.stderr and "coatcheck key" in done.stderr, done.stderr
    one.make("two", open(one.key("one")).read())
    done = subprocess.run([binary, "check", one.proxy.config_file], capture_output=True, text=True, timeout=20)
    assert done.returncode == 78 and "the same key as in" in done.stderr
    one.proxy.ended = True


def test_a_row_copied_over_another_users_row_lets_nobody_in(installed):
    one = installed()
    harvey, kim = one.sign_in("harvey"), one.sign_in("kim")
    one.proxy.stop()
    with sqlite3.connect(one.proxy.directory / "sessions.db") as file:
        (first, a, ga, ua, sa), (second, b, gb, ub, sb) = file.execute("SELECT hash, sealed, generation, user, sid FROM sessions").fetchall()
        swap = "UPDATE sessions SET sealed = ?, generation = ?, user = ?, sid = ? WHERE hash = ?"
        file.execute(swap, (b, gb, ub, sb, first))
    one.proxy.start()
    answers = [harvey.call(), kim.call()]
    assert sorted(answer.status for answer in answers) == [200, 401], "one row was overwritten, the other goes on"
    login_required(next(answer for answer in answers if answer.status == 401))
