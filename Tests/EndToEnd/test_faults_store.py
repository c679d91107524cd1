"""A disk that is full or read-only: signed-in users go on from memory, nobody is signed out for it, readiness says so, and it heals by itself."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from processes import answers, free_port, wait_until
from support import http
from support.faults import Launched, numbers
from support.scene import Scene
from support.visitor import Visitor

SPACE = "640k"
"""The whole disk of these tests, in memory."""


def may_mount() -> list[str] | None:
    """How to get a mount namespace of one's own; nil where the kernel does not allow it."""
    for words in (["unshare", "--mount"], ["unshare", "--mount", "--user", "--map-root-user"]):
        if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return None


class OnSmallDisk(Launched):
    """A proxy whose store is on a small disk in memory that only it sees; a test reaches it through `/proc`."""

    @property
    def launcher(self) -> str:
        mount = f'mount -t tmpfs -o size={SPACE} tmpfs "{self.directory}/disk" && exec "$0" "$@"'
        return f'mkdir -p "{self.directory}/disk"\nexec {" ".join(may_mount())} -- sh -c \'{mount}\' "$BINARY" "$@"'

    @property
    def disk(self) -> Path:
        return Path(f"/proc/{self.service.pid}/root{self.directory}/disk")

    def fill(self) -> None:
        """Not one byte more can be written to the disk."""
        with open(self.disk / "filler", "wb", buffering=0) as filler:
            for size in (4096, 512, 1):
                try:
                    while filler.write(b"x" * size):
                        pass
                except OSError:
                    pass

    def free(self) -> None:
        (self.disk / "filler").unlink()


pytestmark = pytest.mark.skipif(may_mount() is None, reason="no mount namespaces here")


@pytest.fixture
def scene(binary, background, tmp_path):
    with Scene(binary, background, tmp_path) as one:
        yield one


def small_disk(scene) -> OnSmallDisk:
    file = scene.directory / f"proxy-{len(scene.proxies)}" / "disk" / "sessions.db"
    return scene.proxy({"tokens": {"refresh_before_expiry": "1s"}, "session": {"store": {"path": str(file)}}, "workers": 1}, OnSmallDisk)


def ready(one) -> int:
    return http.request(one.admin_url, "GET", "/readyz").status


def store_errors(one) -> float:
    return numbers(one)["coatcheck_store_errors_total"]


def rotated(scene, visitor: Visitor) -> None:
    """The visitor's refresh token was used and replaced once."""
    family = next(family for family in scene.provider.families if family.user == visitor.user)
    assert len(family.used) == 1 and not family.revoked


def test_a_full_disk_costs_nobody_a_session(scene):
    one = small_disk(scene)
    provider = scene.provider
    harvey = scene.visitor(one, "harvey")
    provider.access_token_seconds = 0
    kim = scene.visitor(one, "kim")
    provider.access_token_seconds = 3600
    unfinished = Visitor(one, provider, "louis")
    callback = provider.approve(unfinished.start_sign_in(), "louis")
    assert ready(one) == 200 and store_errors(one) == 0
    one.fill()
    # Signed-in users go on, those with an expired token, too.
    assert harvey.who() == "harvey" and harvey.signed_in
    assert kim.who() == "kim" and kim.who() == "kim"
    rotated(scene, kim)
    # Readiness and metrics say so; the process lives.
    answer = http.request(one.admin_url, "GET", "/readyz")
    assert answer.status == 503 and "session store" in answer.text
    assert answers(f"{one.admin_url}/healthz")
    assert store_errors(one) >= 1
    # A sign-in that begins and one that comes back are told to try again.
    begun = Visitor(one, provider, "mike").navigate("/auth/login")
    back = unfinished.come_back(callback)
    for page in (begun, back):
        assert page.status == 503 and "text/html" in page.header("content-type") and page.header("retry-after"), page
        assert str(one.directory) not in page.text
    # Signing out works at once, whatever the disk says.
    donna = dict(harvey.cookies)
    assert harvey.sign_out().status == 303
    harvey.cookies = donna
    assert not harvey.signed_in
    # Space is back: everything heals without a restart.
    one.free()
    assert ready(one) == 200
    assert unfinished.come_back(callback).status == 303 and unfinished.who() == "louis"
    assert Visitor(one, provider, "mike").sign_in().who() == "mike"
    assert kim.who() == "kim" and not harvey.signed_in


def test_what_could_not_be_written_is_written_when_space_is_back_and_survives_a_kill(scene):
    """The limit of a file's size stands in for the disk, so that the file outlives the process."""
    one = scene.proxy({"tokens": {"refresh_before_expiry": "1s"}, "workers": 1})
    scene.provider.access_token_seconds = 0
    kim = scene.visitor(one, "kim")
    scene.provider.access_token_seconds = 3600
    soft, hard = resource.prlimit(one.service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(one.service.pid, resource.RLIMIT_FSIZE, (0, hard))
    assert kim.who() == "kim"
    rotated(scene, kim)
    assert ready(one) == 503 and one.service.running, "not even the log can be written"
    assert Visitor(one, scene.provider, "mike").navigate("/auth/login").status == 503
    resource.prlimit(one.service.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert ready(one) == 200
    # Whatever waits is tried again every fifteen seconds.
    wait_until(lambda: generation(one) > 1, "the session to be saved", 20, every=0.2)
    one.kill()
    one.start()
    assert kim.who() == "kim"
    assert scene.provider.count["reuse"] == 0


def generation(one) -> int:
    with sqlite3.connect(f"file:{one.directory}/sessions.db?mode=ro", uri=True) as file:
        return file.execute("SELECT max(generation) FROM sessions").fetchone()[0]


def test_a_sign_out_while_the_disk_is_full_survives_a_restart_that_follows_its_recovery(scene):
    one = scene.proxy({"workers": 1})
    harvey = scene.visitor(one, "harvey")
    jar = dict(harvey.cookies)
    soft, hard = resource.prlimit(one.service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(one.service.pid, resource.RLIMIT_FSIZE, (0, hard))
    assert harvey.sign_out().status == 303
    resource.prlimit(one.service.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert one.stop() == 0
    one.start()
    harvey.cookies = jar
    assert not harvey.signed_in


def test_a_disk_that_stays_full_does_not_keep_the_process_from_stopping(scene):
    one = small_disk(scene)
    harvey = scene.visitor(one)
    one.fill()
    assert harvey.who() == harvey.user
    start = time.monotonic()
    assert one.stop() == 0 and time.monotonic() - start < 8


def test_a_store_that_cannot_be_written_at_the_start_is_one_clear_line(binary, scene, tmp_path):
    """A read-only disk; root writes through every file mode, so it is a mount."""
    directory = tmp_path / "read-only"
    directory.mkdir()
    secret = tmp_path / "client_secret"
    secret.write_text("s")
    secret.chmod(0o600)
    config = tmp_path / "proxy.json"
    config.write_text(json.dumps({
        "listen": f"127.0.0.1:{free_port()}", "public_url": "http://127.0.0.1:1",
        "oidc": {"issuer": scene.provider.issuer, "client_id": "c", "client_secret_file": str(secret), "scope": "openid"},
        "routes": [scene.route("/mcp")], "session": {"store": {"type": "sqlite", "path": str(directory / "sessions.db")}}}))
    run = subprocess.run(
        [*may_mount(), "--", "sh", "-c", f'mount -t tmpfs -o ro tmpfs "{directory}" && exec "{binary}" run "{config}"'],
        capture_output=True, text=True, timeout=20, env=os.environ | {"STATE_DIRECTORY": str(tmp_path)})
    assert run.returncode == 78, (run.returncode, run.stderr)
    line, = run.stderr.strip().splitlines()
    assert "session.store.path" in line and str(directory) in line and "cannot be written to: Read-only file system" in line
