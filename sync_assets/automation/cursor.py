"""What a source's sensor remembers from tick to tick.

What belongs here: how far each stream of each tenant was seen to be synced, which runs were asked for, and who is left
alone for a while. What does not: asking, and the runs themselves (`sensors.py`). It grows with tenants and streams
only, and holds digests, no words of upstream's.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# By stream: what upstream answered, digested.
Tokens = dict[str, str]

_FIRST_REST = timedelta(minutes=5)
_LONGEST_REST = timedelta(hours=2)


class Rest(BaseModel):
    """A tenant that failed, and is left alone for a while that doubles each time."""

    model_config = ConfigDict(extra="forbid")

    tries: int
    since: datetime

    def lasts(self, now: datetime) -> bool:
        """Whether it is not over; a clock that went back ends it."""
        wait = min(_FIRST_REST * 2 ** min(self.tries - 1, 10), _LONGEST_REST)
        return self.since <= now < self.since + wait


class Cursor(BaseModel):
    """The sensor's memory.

    Attributes:
        number: of the next asking; with it no two askings look alike to Dagster.
        last: the tenant that was asked last; the next tick begins after it.
        seen: by tenant, what a run that succeeded, or that somebody canceled, was asked for with.
        asked: runs that were asked for and have not ended, by key, with what is seen once they succeed.
        rests: tenants whose upstream or whose run failed.
    """

    model_config = ConfigDict(extra="forbid")

    number: int
    last: str = ""
    seen: dict[str, Tokens] = Field(default={})
    asked: dict[str, dict[str, Tokens]] = Field(default={})
    rests: dict[str, Rest] = Field(default={})

    @classmethod
    def read(cls, text: str | None, now: datetime) -> Self:
        """As it was written; without one, and from one of another form, everything counts as changed."""
        try:
            return cls.model_validate_json(text or "")
        except ValidationError:
            # Not from 0: Dagster passes over keys that it has seen, and an earlier cursor may have been reset.
            return cls(number=int(now.timestamp()))

    def forget_all_but(self, tenants: Iterable[str]) -> None:
        """Drop tenants that have no account any more."""
        known = set(tenants)
        self.seen = {tenant: tokens for tenant, tokens in self.seen.items() if tenant in known}
        self.rests = {tenant: rest for tenant, rest in self.rests.items() if tenant in known}

    def order(self, tenants: Sequence[str], now: datetime) -> list[str]:
        """Whom to ask: those that do not rest, from where the last tick stopped."""
        awake = sorted(tenant for tenant in tenants if tenant not in self.rests or not self.rests[tenant].lasts(now))
        return [tenant for tenant in awake if tenant > self.last] + [tenant for tenant in awake if tenant <= self.last]

    def changed(self, tenant: str, tokens: Tokens) -> Tokens:
        """Those of the tokens that are not what was seen."""
        seen = self.seen.get(tenant, {})
        return {stream: token for stream, token in tokens.items() if seen.get(stream) != token}

    def succeeded(self, key: str) -> None:
        """A run that was asked for did: what it was asked for with is seen."""
        for tenant, tokens in self.asked.pop(key).items():
            self.seen.setdefault(tenant, {}).update(tokens)
            self.rests.pop(tenant, None)

    def canceled(self, key: str) -> None:
        """Somebody wanted a run that was asked for to end: what it was asked for with is not asked for again.

        Its windows stay behind the ledger's marks, so the next change or the next schedule brings it.
        """
        for tenant, tokens in self.asked.pop(key).items():
            self.seen.setdefault(tenant, {}).update(tokens)

    def failed(self, key: str, now: datetime) -> None:
        """A run that was asked for did not: it is asked for again after a rest."""
        for tenant in self.asked.pop(key):
            self.rest(tenant, now)

    def rest(self, tenant: str, now: datetime) -> None:
        """Leave a tenant alone for a while."""
        before = self.rests.get(tenant)
        self.rests[tenant] = Rest(tries=before.tries + 1 if before else 1, since=now)

    def ask(self, key: str, tokens: Mapping[str, Tokens]) -> None:
        """A run was asked for."""
        self.asked[key] = dict(tokens)
