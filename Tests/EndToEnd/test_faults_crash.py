"""`kill -9` around a token refresh, with a provider that rotates refresh tokens and ends a session at the first reuse."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import wait_until
from support.faults import MoodyProvider, expired, silence
from support.scene import Scene
from support.visitor import Visitor, login_required

USERS = 12


@pytest.fixture
def scene(binary, background, tmp_path):
    with Scene(binary, background, tmp_path, MoodyProvider) as one:
        one.proxy({"tokens": {"refresh_before_expiry": "1s"}})
        yield one


def calls_that_are_cut_off(visitors: list[Visitor]) -> list[threading.Thread]:
    def call(visitor: Visitor) -> None:
        try:
            visitor.call()
        except Exception:
            pass  # The process ends under it.

    threads = [threading.Thread(target=call, args=(visitor,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    return threads


def restart(scene, threads: list[threading.Thread]) -> None:
    one = scene.proxies[0]
    one.kill()
    for thread in threads:
        thread.join()
    scene.provider.moods.clear()
    one.start()


def outcome(visitors: list[Visitor]) -> tuple[int, int]:
    """How many go on and how many have to sign in; nobody may be somebody else, and everybody can sign in again."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda visitor: visitor.call(), visitors))
    on = out = 0
    for visitor, answer in zip(visitors, answers):
        if answer.status == 200:
            assert answer.json()["result"]["content"][0]["text"] == visitor.user
            on += 1
        else:
            login_required(answer)
            assert visitor.sign_in().who() == visitor.user
            out += 1
    return on, out


def test_before_the_provider_has_seen_the_request_nobody_is_signed_out(scene):
    """It was not carried out: the refresh token at rest is still the good one."""
    visitors = [expired(scene) for _ in range(USERS)]
    scene.provider.moods = {"refresh_token": silence}
    threads = calls_that_are_cut_off(visitors)
    wait_until(lambda: scene.provider.count["moody"] == USERS, "all refreshes to begin")
    restart(scene, threads)
    assert outcome(visitors) == (USERS, 0)
    assert scene.provider.count["reuse"] == 0


def test_after_the_provider_has_rotated_and_before_its_answer_arrives(scene):
    """The new refresh token is lost on the way: these users, and no others, sign in again."""
    visitors = [expired(scene) for _ in range(USERS)]
    others = [scene.visitor() for _ in range(3)]

    async def rotate_and_hold(request, wire, usual):
        await usual(request, wire)
        scene.provider.count["rotated"] += 1
        await wire.client_left()

    scene.provider.moods = {"refresh_token": rotate_and_hold}
    threads = calls_that_are_cut_off(visitors)
    wait_until(lambda: scene.provider.count["rotated"] == USERS, "all to be rotated")
    restart(scene, threads)
    assert outcome(visitors) == (0, USERS)
    assert outcome(others) == (3, 0)


def test_after_the_answer_and_before_the_store_wrote_it_the_new_token_was_not_used(scene):
    """The store is locked by somebody else while the answer arrives: what is not on disk does not go upstream."""
    one = scene.proxies[0]
    visitors = [expired(scene) for _ in range(3)]
    outsider = sqlite3.connect(one.directory / "sessions.db", isolation_level=None)
    outsider.execute("BEGIN IMMEDIATE")
    threads = calls_that_are_cut_off(visitors)
    wait_until(lambda: scene.provider.count["refresh_token"] == 3, "all to be rotated")
    # All that is left is to write: nothing more happens until it can, for the five seconds that the store is waited for.
    with pytest.raises(TimeoutError):
        wait_until(lambda: scene.upstream.requests, "a call with a token that is not stored", 1)
    one.kill()
    outsider.rollback()
    outsider.close()
    restart(scene, threads)
    assert outcome(visitors) == (0, 3)


def test_after_the_store_wrote_nobody_is_signed_out(scene):
    """Killed at the moment when the first new token reaches the upstream, which is after it was stored."""
    visitors = [expired(scene) for _ in range(USERS)]

    async def hold(request, wire):
        await wire.client_left()

    scene.upstream.on("whoami", hold)
    threads = calls_that_are_cut_off(visitors)
    wait_until(lambda: len(scene.upstream.requests) == USERS, "all calls to arrive")
    scene.upstream.on("whoami", lambda request: scene.upstream.echo(request, {"id": 1, "method": "tools/call"}))
    refreshes = scene.provider.count["refresh_token"]
    restart(scene, threads)
    assert outcome(visitors) == (USERS, 0)
    assert scene.provider.count["refresh_token"] == refreshes == USERS, "the access tokens are stored as well"
    assert scene.provider.count["reuse"] == 0


def test_at_any_moment_whoever_got_an_answer_stays_signed_in(scene):
    """Killed in the middle of many refreshes, again and again. A stored answer is never lost, and nobody becomes somebody else."""
    provider = scene.provider

    async def slowly(request, wire, usual):
        answer = await usual(request, wire)
        await asyncio.sleep(0.002 * (provider.count["moody"] % 10))
        return answer

    for round in range(3):
        visitors = [expired(scene) for _ in range(USERS)]
        served: set[str] = set()

        def call(visitor: Visitor) -> None:
            try:
                if visitor.call().status == 200:
                    served.add(visitor.user)
            except Exception:
                pass

        provider.moods = {"refresh_token": slowly}
        threads = [threading.Thread(target=call, args=(visitor,)) for visitor in visitors]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(served) >= 2 + 3 * round, "some answers")
        restart(scene, threads)
        kept = [visitor for visitor in visitors if visitor.user in served]
        assert outcome(kept) == (len(kept), 0)
        on, out = outcome([visitor for visitor in visitors if visitor.user not in served])
        assert on + out == USERS - len(kept)
