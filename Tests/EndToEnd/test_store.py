"""Sessions at rest: they survive what they should, and the file gives nothing away."""

from __future__ import annotations

import subprocess
import time

import pytest

from support.visitor import Visitor, login_required


def files_of(one) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(one.directory.glob("sessions.db*")))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_session_survives(proxy, provider, end):
    one = proxy()
    harvey, kim = Visitor(one, provider, "harvey").sign_in(), Visitor(one, provider, "kim").sign_in()
    one.kill() if end == "kill" else one.stop()
    one.start()
    assert (harvey.who(), kim.who()) == ("harvey", "kim")
    assert provider.count["refresh_token"] == 0


def test_a_sign_out_survives_a_kill(proxy, provider):
    one = proxy()
    harvey = Visitor(one, provider).sign_in()
    jar = dict(harvey.cookies)
    harvey.sign_out()
    one.kill()
    one.start()
    harvey.cookies = jar
    login_required(harvey.call())


def test_a_sign_in_that_was_begun_before_a_restart_can_be_finished(proxy, provider):
    one = proxy()
    harvey = Visitor(one, provider)
    callback = provider.approve(harvey.start_sign_in("/pages/x"), "harvey")
    one.kill()
    one.start()
    assert harvey.come_back(callback).location.removeprefix(one.url) == "/pages/x"
    assert harvey.who() == "harvey"


def test_the_file_holds_no_usable_secret(proxy, provider):
    one = proxy()
    harvey = Visitor(one, provider).sign_in()
    harvey.start_sign_in()
    harvey.who()
    content = files_of(one)
    assert len(content) > 4096
    for secret in provider.issued + list(harvey.cookies.values()) + ["CANARY"]:
        assert secret.encode() not in content, secret
    one.stop()
    assert b"CANARY" not in files_of(one)


def test_the_file_is_for_its_owner_alone(proxy):
    one = proxy()
    for file in one.directory.glob("sessions.db*"):
        assert file.stat().st_mode & 0o077 == 0, oct(file.stat().st_mode)


def test_a_copied_file_is_useless_without_the_key(proxy, provider):
    """The proxy may refuse to start on it or start with nobody signed in; what it may not do is serve the session."""
    one = proxy()
    harvey = Visitor(one, provider).sign_in()
    one.stop()
    for key in one.directory.glob("*key*"):
        key.unlink()
    try:
        one.start()
    except RuntimeError as error:
        one.ended = True
        assert "ended with 78" in str(error) and "key" in str(error)
    else:
        login_required(harvey.call())


def key_file(binary, path):
    path.write_text(subprocess.run([binary, "key"], capture_output=True, text=True, check=True).stdout)
    path.chmod(0o600)
    return str(path)


def test_a_new_key_in_front_signs_nobody_out_and_the_old_one_can_go_later(proxy, provider, binary, tmp_path):
    old, new = key_file(binary, tmp_path / "old.key"), key_file(binary, tmp_path / "new.key")
    one = proxy({"session": {"encryption_key_files": [old]}})
    harvey = Visitor(one, provider).sign_in()
    one.stop()
    one.config["session"]["encryption_key_files"] = [new, old]
    one.start()
    assert harvey.who() == "harvey"
    kim = Visitor(one, provider, "kim").sign_in()
    one.stop()
    one.config["session"]["encryption_key_files"] = [new]
    one.start()
    assert kim.who() == "kim"


def test_the_memory_store_needs_no_file_and_forgets_at_the_end(proxy, provider):
    one = proxy({"session": {"store": {"type": "memory", "path": None}}})
    harvey = Visitor(one, provider).sign_in()
    assert harvey.who() == "harvey"
    assert not list(one.directory.glob("*.db*"))
    one.stop()
    one.start()
    login_required(harvey.call())


def test_a_store_that_is_locked_for_a_while_does_not_stop_signed_in_users(proxy, provider):
    import sqlite3
    one = proxy()
    harvey = Visitor(one, provider).sign_in()
    harvey.who()
    with sqlite3.connect(one.directory / "sessions.db") as outsider:
        outsider.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        for _ in range(20):
            assert harvey.who() == "harvey"
        assert time.monotonic() - start < 2
        outsider.rollback()


def test_a_database_of_a_newer_program_is_refused_with_what_to_do(proxy, provider):
    import sqlite3
    one = proxy()
    harvey = Visitor(one, provider).sign_in()
    one.stop()
    with sqlite3.connect(one.directory / "sessions.db") as file:
        version = file.execute("PRAGMA user_version").fetchone()[0]
        file.execute(f"PRAGMA user_version = {version + 1}")
    with pytest.raises(RuntimeError, match="ended with 78") as error:
        one.start()
    assert f"version {version + 1}" in str(error.value) and f"up to {version}" in str(error.value) and "newer one" in str(error.value)
    # Nothing was changed: the newer program finds its sessions.
    with sqlite3.connect(one.directory / "sessions.db") as file:
        assert file.execute("PRAGMA user_version").fetchone()[0] == version + 1
        file.execute(f"PRAGMA user_version = {version}")
    one.start()
    assert harvey.who() == "harvey"
