"""The steps of docs/sealing.md with two replicas at one Redis: at none of them is anybody signed out, whichever replica is asked."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from processes import wait_until
from support.redis import RedisServer
from support.replicas import Fleet
from support.scene import metric

READ, REFUSED = "sealing keys read again", "the sealing keys were not taken"
DONE = "everything stored is sealed under the first key"


@pytest.fixture
def fleet(binary, background, tmp_path):
    with RedisServer(tmp_path) as redis, Fleet(binary, background, tmp_path, redis.store()) as one:
        one.replicas(2)
        yield one


def told(one, *texts: str) -> list[str]:
    return [line for line in one.output().splitlines() if any(text in line for text in texts)]


def ring(one, *files: str) -> str:
    """Has a replica read its keys; the line that tells what became of it."""
    before = len(told(one, READ, REFUSED))
    one.config["session"]["encryption_key_files"] = list(files)
    one.config_file.write_text(json.dumps(one.config))
    one.service.signal(signal.SIGHUP)
    return wait_until(lambda: told(one, READ, REFUSED)[before:], "the keys to be read")[-1]


def test_a_key_is_changed_at_all_replicas_in_three_steps_and_nobody_is_signed_out(fleet, binary, tmp_path):
    old, new = str(fleet.key_file), tmp_path / "new.key"
    new.write_text(subprocess.run([binary, "key"], capture_output=True, text=True, check=True).stdout)
    new.chmod(0o600)
    people = fleet.visitors(3)
    # A step more each time, one replica after the other, with people coming and going in between.
    for step in ([old, str(new)], [str(new), old], [str(new)]):
        for one in fleet.proxies:
            done = len(told(one, DONE))
            assert READ in ring(one, *step)
            people.append(fleet.visitor())
            for visitor in people:
                for place in fleet.proxies:
                    assert visitor.at(place).who() == visitor.user
            wait_until(lambda: len(told(one, DONE)) > done, "everything to be sealed again")
    assert all(metric(one, "coatcheck_unreadable_values") == 0 and metric(one, "coatcheck_sealing_keys") == 1 for one in fleet.proxies)
    # Nothing of it is in a memory only: a replica that starts with the new key alone knows everybody.
    third = fleet.replica({"session": {"encryption_key_files": [str(new)]}})
    for visitor in people:
        assert visitor.at(third).who() == visitor.user
    # And one that is left with the old key cannot use the store.
    with pytest.raises(RuntimeError, match="ended with 78"):
        fleet.replica()


def test_a_replica_whose_keys_do_not_open_the_store_keeps_those_it_has(fleet, binary, tmp_path):
    first, second = fleet.proxies
    harvey = fleet.visitor(user="harvey")
    strange = tmp_path / "strange.key"
    strange.write_text(subprocess.run([binary, "key"], capture_output=True, text=True, check=True).stdout)
    strange.chmod(0o600)
    assert REFUSED in ring(first, str(strange))
    kim = fleet.visitor(user="kim")
    for place in (first, second):
        assert (harvey.at(place).who(), kim.at(place).who()) == ("harvey", "kim")
