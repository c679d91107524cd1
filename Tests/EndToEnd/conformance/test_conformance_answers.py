"""Every row of the table of answers: said whole, split at random, and byte by byte; then another user's request over the same proxy."""

from __future__ import annotations

import time

import pytest

from .answer import ASKS, CLOSED, CUT, KEPT, Answer
from .recorder import echo
from .stage import PATIENCE, SEED, Client, Stage, pieces
from .table import ANSWERS

SHORT = 300
"""Bytes up to which an answer is also said byte by byte."""


def divided(case: Answer, turn: int) -> list:
    steps = []
    for number, step in enumerate(case.steps):
        steps += [step] if isinstance(step, str) else pieces(step, f"{case.name}/{number}", turn)
    return steps


def bytewise(case: Answer) -> list:
    return [one for step in case.steps for one in ([step] if isinstance(step, str) else [bytes([byte]) for byte in step])]


def run(stage: Stage, case: Answer, steps: list) -> None:
    stage.count += 1
    target = case.route + b"/answer/%d" % stage.count
    recorder = stage.recorder
    recorder.script(target, steps, case.early)
    if case.greeting:
        recorder.drop_idle()
        recorder.greeting = case.greeting
    if case.before:
        assert recorder.say_to_idle(case.before)
    client = Client(stage.proxy.port, [case.ask == "head"])
    try:
        client.send(stage.fill(ASKS[case.ask].replace(b"@TARGET@", target)))
        check(stage, case, client)
    finally:
        client.close()
    if case.greeting:
        # The answer to the request itself, behind the greeting: it has to be on its way before the next request is.
        deadline = time.monotonic() + PATIENCE
        while recorder.answered < stage.count_of_answers + 1:
            assert time.monotonic() < deadline, "the request did not arrive"
    used = {seen.connection for seen in recorder.peek() if seen.target == target}
    if case.late:
        recorder.say_to_idle(case.late)
    connection, seen = stage.after(target)
    assert [one.target for one in seen] == [target] * (len(seen) if case.again and 0 < len(seen) < 3 else 1), "the request was sent more than once, or not at all"
    stage.check_token(seen[0], "harvey" if case.route != b"/public" else None)
    if case.reused is not None:
        used = used or {seen[0].connection}
        assert (connection in used) == case.reused, "the connection was used again" if connection in used else "the connection was given up"


def check(stage: Stage, case: Answer, client: Client) -> None:
    answer = client.answer()
    if case.end == CUT:
        # Where nothing of the body has passed yet, the proxy may still say that it was broken.
        assert answer is None or not answer.whole or int(answer.first[0]) == 502, (answer.first, answer.body[:300])
        assert answer is None or answer.whole or case.body.startswith(answer.body), answer.body[:300]
        assert answer is None or answer.whole or int(answer.first[0]) == case.status, answer.first
        return
    assert answer is not None and answer.whole, answer
    assert int(answer.first[0]) == case.status, (answer.first, answer.body[:300])
    if case.status != 502:
        assert answer.body == case.body, answer.body[:300]
    assert not client.interim, client.interim
    for name, value in case.fields.items():
        assert answer.all(name) == ([] if value is None else [value]), (name, answer.all(name))
    if case.end == KEPT:
        assert answer.get(b"connection") != b"close"
        if case.ask == "begun":
            client.send(b"world")
        client.send(stage.fill(b"GET /public/same HTTP/1.1\r\nHost: @HOST@\r\n\r\n"))
        same = client.answer()
        assert same is not None and same.body == echo(b"GET", b"/public/same"), f"the connection was not kept, or not where it should be: {same}"
        stage.recorder.forget(b"/public/same")
    elif case.end == CLOSED:
        assert client.ends() and client.end == "closed"


@pytest.mark.parametrize("case", ANSWERS, ids=[case.name for case in ANSWERS])
def test_an_answer(stage, case):
    ways = {"whole": list(case.steps), "split": divided(case, 1), "split again": divided(case, 2)}
    if sum(len(step) for step in case.steps if not isinstance(step, str)) <= SHORT:
        ways["byte by byte"] = bytewise(case)
    for way, steps in ways.items():
        stage.count_of_answers = stage.recorder.answered
        try:
            run(stage, case, steps)
        except Exception as error:
            stage.reset()
            raise AssertionError(f"{way} (CONFORMANCE_SEED={SEED}): {type(error).__name__}: {error}") from error


def test_names_are_different_and_there_are_enough():
    names = [case.name for case in ANSWERS]
    assert len(set(names)) == len(names) >= 100
