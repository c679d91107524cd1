"""Every row of the table of requests: sent whole, split at random, and byte by byte."""

from __future__ import annotations

import os
import select

import pytest

from .case import Case, Received
from .recorder import echo
from .stage import SEED, Client, Stage, pieces
from .table import REQUESTS

SHORT = 800
"""Bytes up to which a case is also sent byte by byte."""


def send(client: Client, parts: list[bytes]) -> None:
    for number, part in enumerate(parts):
        if number:
            # A moment for the proxy to read what was sent before; an early answer ends it.
            if len(parts) < 8:
                select.select([client.socket], [], [], 0.0005)
            else:
                os.sched_yield()
        if not client.send(part):
            return


def run(stage: Stage, case: Case, parts: list[bytes]) -> dict:
    """Sends a case and returns what came of it at both ends, without what differs from one sending to the next."""
    client = Client(stage.proxy.port, case.to_head)
    try:
        send(client, parts)
        if case.ends:
            client.half_close()
        answers = []
        for _ in case.statuses:
            answer = client.answer()
            if answer is None:
                break
            answers.append(answer)
        if case.kept:
            client.send(stage.fill(b"GET /public/same HTTP/1.1\r\nHost: @HOST@\r\n\r\n"))
            same = client.answer()
            assert same is not None and same.body == echo(b"GET", b"/public/same"), f"the connection was not kept, or not where it should be: {same}"
        elif case.kept is False:
            assert client.ends()
        closing = [answer.get(b"connection") == b"close" for answer in answers]
    finally:
        client.close()
    # Nothing of it is left for the next user of the same upstream connections.
    _, seen = stage.after(case.received[-1].target if case.received else b"/api")
    return {
        "answers": [(int(answer.first[0]), answer.body, answer.whole) for answer in answers],
        "closing": closing if case.kept is not None else None,
        "interim": tuple(client.interim),
        "end": client.end,
        "seen": [one for one in seen if one.target != b"/public/same"],
    }


def check(stage: Stage, case: Case, outcome: dict) -> None:
    statuses = [status for status, _, _ in outcome["answers"]]
    assert len(statuses) == len(case.statuses), f"answers {statuses}, expected {case.statuses}"
    for status, expected in zip(statuses, case.statuses):
        assert status == expected or isinstance(expected, frozenset) and status in expected, f"answers {statuses}, expected {case.statuses}"
    assert all(whole for _, _, whole in outcome["answers"])
    assert case.interim == {()} and not outcome["interim"] or outcome["interim"] in case.interim, outcome["interim"]
    if case.kept:
        assert not any(outcome["closing"])
    elif case.kept is False and outcome["closing"] and not case.ends:
        assert outcome["closing"][-1], "closed without saying so"
    seen = outcome["seen"]
    # Whether the beginning of a request that breaks off goes on its way depends on when it does.
    received = case.received if len(seen) == len(case.received) else tuple(one for one in case.received if one.whole)
    assert [(one.method, one.target) for one in seen] == [(one.method, one.target) for one in received]
    for one, expected in zip(seen, received):
        check_received(stage, one, expected)
    bodies = [body for status, body, _ in outcome["answers"] if status == 200]
    expected = [b"" if one.method == b"HEAD" else echo(one.method, one.target) for one in case.received if one.whole]
    assert not bodies or bodies == expected, "somebody else's answer"


def check_received(stage: Stage, seen, expected: Received) -> None:
    message = seen.message
    assert message.whole == expected.whole, "a request that breaks off looks whole, or the other way round"
    assert message.body == expected.body if message.whole else expected.body.startswith(message.body), message.body[:300]
    assert tuple(message.trailers) == expected.trailers, message.trailers
    stage.check_token(seen, expected.user)
    for name, value in expected.fields.items():
        assert message.all(name) == ([] if value is None else [value]), (name, message.all(name))
    assert stage.cookie() not in (message.get(b"cookie") or b"")
    assert message.all(b"x-forwarded-for") == [b"127.0.0.1"] and message.all(b"via") == [b"1.1 coatcheck"]


def same(outcome: dict, case: Case) -> tuple:
    """What must not depend on how the bytes arrived."""
    seen = []
    for one in outcome["seen"]:
        if not one.message.whole:
            continue
        fields = sorted((name.lower(), value) for name, value in one.message.fields if name.lower() != b"x-request-id")
        # A body that was held and one that streamed differ in their framing, and in nothing else.
        fields = [item for item in fields if item[0] not in (b"content-length", b"transfer-encoding")]
        seen.append((one.message.first, fields, one.message.body, tuple(one.message.trailers)))
    answers = [(status if status == 200 else "refused", body if status == 200 else b"") for status, body, _ in outcome["answers"]]
    return answers, outcome["closing"], seen


@pytest.mark.parametrize("case", REQUESTS, ids=[case.name for case in REQUESTS])
def test_a_request(stage, case):
    data = stage.fill(case.data)
    ways = {"whole": [data], "split": pieces(data, case.name, 1), "split again": pieces(data, case.name, 2)}
    if len(data) <= SHORT:
        ways["byte by byte"] = [data[index:index + 1] for index in range(len(data))]
    first = None
    for way, parts in ways.items():
        try:
            outcome = run(stage, case, parts)
            check(stage, case, outcome)
            first = first or same(outcome, case)
            assert same(outcome, case) == first, "another result than when sent whole"
        except Exception as error:
            stage.reset()
            raise AssertionError(f"{way} (CONFORMANCE_SEED={SEED}): {type(error).__name__}: {error}") from error


def test_names_are_different_and_there_are_enough():
    names = [case.name for case in REQUESTS]
    assert len(set(names)) == len(names) >= 250
