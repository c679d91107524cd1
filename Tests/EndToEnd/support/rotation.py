"""A provider that rotates refresh tokens, ends a session at the first reuse, and writes down when it did what."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

from .faults import MoodyProvider
from .provider import Family
from .server import Answer, Background, Request, Wire


class RotatingProvider(MoodyProvider):
    """With a `leeway` the token before the current one still works for so many seconds after its first use, as the large providers offer
    for answers that are lost on the way."""

    def __init__(self, background: Background):
        super().__init__(background)
        self.leeway: float = 0
        # When each user's refresh tokens were replaced, on the monotonic clock.
        self.rotations: dict[str, list[float]] = defaultdict(list)
        # Refreshes that came while another one of the same user was on its way.
        self.collisions = 0
        # The ports from which refreshes came that have no answer yet.
        self.callers: set[int] = set()
        self._spent: dict[str, float] = {}
        self._previous: dict[int, str] = {}
        self._inside: Counter = Counter()

    def family_of(self, token: str) -> Family | None:
        return next((family for family in self.families if token == family.current or token in family.used), None)

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        if request.path != "/token" or request.form.get("grant_type") != "refresh_token":
            return await super().handle(request, wire)
        family = self.family_of(request.form.get("refresh_token", ""))
        user = family.user if family else "?"
        self.collisions += self._inside[user] > 0
        port = wire.writer.get_extra_info("peername")[1]
        self._inside[user] += 1
        self.callers.add(port)
        try:
            return await super().handle(request, wire)
        finally:
            self._inside[user] -= 1
            self.callers.discard(port)

    def refresh(self, form: dict[str, str]) -> Answer:
        token, now = form.get("refresh_token", ""), time.monotonic()
        family = self.family_of(token)
        if family is not None and not family.revoked:
            again = token != family.current
            if again and token == self._previous.get(id(family)) and now - self._spent[token] < self.leeway:
                family.used.add(family.current)
                family.used.discard(token)
                family.current = token
                self.count["leeway"] += 1
                again = False
            if not again:
                self._previous[id(family)] = token
                self._spent.setdefault(token, now)
                self.rotations[family.user].append(now)
        return super().refresh(form)

    @property
    def refreshes(self) -> int:
        """How often a refresh token was replaced."""
        return sum(len(times) for times in self.rotations.values())

    def shortest_gap(self) -> float:
        """The least time between two refreshes of one user: two for one expiry would be moments apart."""
        return min((later - sooner for times in self.rotations.values() for sooner, later in zip(times, times[1:])), default=float("inf"))

    def is_unharmed(self) -> None:
        """No refresh token was used twice, and no session ended for it."""
        assert self.count["reuse"] == 0
        assert not any(family.revoked for family in self.families)


async def rotate_and_hold(request: Request, wire: Wire, usual) -> None:
    """The refresh token is replaced, the answer never comes while the caller waits."""
    await usual(request, wire)
    await wire.client_left()


async def rotate_and_hang_up(request: Request, wire: Wire, usual) -> None:
    """The refresh token is replaced, the answer is lost on the way."""
    await usual(request, wire)
    wire.abort()


def once(mood, then=None):
    """A mood for the first request alone; the others meet the usual, or `then`."""
    left = [mood]

    async def act(request: Request, wire: Wire, usual) -> Answer | None:
        now = left.pop() if left else then
        return await (now(request, wire, usual) if now else usual(request, wire))

    return act
