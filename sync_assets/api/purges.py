"""Erasing all of a tenant, in two steps: what would go, with a confirmation for exactly that; then erasing it.

What belongs here: the confirmation. What is erased where, and the proof that nothing is left, is in `forgetting/`.
"""

import hmac
import json
import time
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sync_assets.api.gate import OperatorKey
from sync_assets.api.parts import Parts, PartsOf
from sync_assets.api.problems import Problem, Refusal
from sync_assets.api.words import Words
from sync_assets.cli.session import log
from sync_assets.forgetting import Place, erase, runs_in_progress, tenant_places
from sync_assets.tenants import TenantName, Tenants

_MINUTES = 10

router = APIRouter(prefix="/v1/tenants", tags=["purge"])


class PurgeRequest(BaseModel):
    """Nothing to see what would go; the confirmation of that, and a reason, to erase it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"confirmation": "1767225600.9f2c", "reason": "left us"}]}
    )

    confirmation: Annotated[Words, Field(max_length=200)] | None = None
    reason: Annotated[Words, Field(min_length=3, max_length=500)] | None = None

    @model_validator(mode="after")
    def _both(self) -> "PurgeRequest":
        if (self.confirmation is None) != (self.reason is None):
            raise ValueError("confirmation and reason belong together")
        return self


class Kept(BaseModel):
    place: str
    found: int
    left: int | None = None


class Purge(BaseModel):
    """What would go, or what went.

    Attributes:
        places: what was found in each; `left` is what was found there again after erasing, and must be 0.
        confirmation: to be sent with a reason within ten minutes; only where nothing was erased.
    """

    tenant: str
    erased: bool
    places: list[Kept]
    left: int | None = None
    confirmation: str | None = None
    expires_at: int | None = None


@router.post(
    "/{tenant}/purge",
    summary="Erase a tenant",
    response_model_exclude_none=True,
    responses={409: {"model": Problem, "description": "It is in tenants.yaml or at work, or changed since."}},
)
def purge(tenant: TenantName, body: PurgeRequest, parts: PartsOf, _: OperatorKey) -> Purge:
    """Without a confirmation, tells what is kept of a tenant. With it, erases that and searches every place again.

    The tenant has to be taken out of tenants.yaml first: the next sync would bring all of it back.
    """
    if body.confirmation is None:
        return _shown(parts, tenant)
    with parts.services.ledger.erasing(tenant):
        return _erased(parts, tenant, body.confirmation, body.reason)


def _shown(parts: Parts, tenant: str) -> Purge:
    _, counts = _kept(parts, tenant)
    expires = int(time.time()) + 60 * _MINUTES
    return Purge(
        tenant=tenant,
        erased=False,
        places=[Kept(place=name, found=found) for name, found in counts.items()],
        confirmation=_confirmation(parts, tenant, counts, expires),
        expires_at=expires,
    )


def _erased(parts: Parts, tenant: str, confirmation: str, reason: str | None) -> Purge:
    places, counts = _kept(parts, tenant)
    _refuse_unless_quiet(parts, tenant)
    expires = _expiry(confirmation)
    if not hmac.compare_digest(_confirmation(parts, tenant, counts, expires).encode(), confirmation.encode()):
        raise Refusal(409, "The confirmation is not for what is kept now. Ask again what would go.")
    if expires < time.time():
        raise Refusal(409, f"The confirmation is older than {_MINUTES} minutes. Ask again what would go.")
    log.info("purge of %s begins: %r", tenant, reason)
    outcomes = erase(places)
    left = sum(outcome.left for outcome in outcomes)
    log.info("purge of %s: %d erased, %d left", tenant, sum(outcome.erased for outcome in outcomes), left)
    kept = [Kept(place=one.place, found=one.erased + one.left, left=one.left) for one in outcomes]
    return Purge(tenant=tenant, erased=True, places=kept, left=left)


def _kept(parts: Parts, tenant: str) -> tuple[list[Place], dict[str, int]]:
    """Every place, and how much is in it by name."""
    places = tenant_places(parts.services, parts.instance, tenant)
    counts = {place.name: place.count() for place in places}
    if not any(counts.values()):
        raise Refusal(404, "Nothing is kept of that tenant.")
    return places, counts


def _refuse_unless_quiet(parts: Parts, tenant: str) -> None:
    if tenant in Tenants.load(parts.services.settings.tenants_path).names():
        raise Refusal(409, "The tenant is in tenants.yaml: the next sync would bring all of it back. Take it out.")
    jobs = sum(not job.is_finished for job in parts.jobs.all(tenant))
    if jobs or runs_in_progress(parts.instance, tenant):
        raise Refusal(409, "The tenant has runs in progress. Cancel them, or wait for their end.")


def _confirmation(parts: Parts, tenant: str, counts: dict[str, int], expires: int) -> str:
    text = json.dumps([tenant, sorted(counts.items()), expires])
    return f"{expires}.{hmac.new(parts.keys.purge_secret(), text.encode(), sha256).hexdigest()}"


def _expiry(confirmation: str) -> int:
    seconds = confirmation.partition(".")[0]
    return int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 12 else 0
