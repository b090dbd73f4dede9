"""Whether the process lives, and whether all that it needs answers.

What belongs here: probes of an orchestrator, which carry no key. They tell names of parts, and nothing about them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from sync_assets.api.gate import unknown
from sync_assets.api.parts import PartsOf
from sync_assets.cli.session import log
from sync_assets.errors import LedgerError, SyncAssetsError
from sync_assets.services import Services

_SECONDS = 10.0
# Any name that is no tenant's: what is asked is whether there is an answer.
_NOBODY = "readiness"

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    status: str = "ok"


class Readiness(BaseModel):
    """Which parts answer.

    Attributes:
        parts: "ok" or "down" by name: ledger, storage, and each store that has something.
    """

    ready: bool
    parts: dict[str, str]


@router.get("/health", summary="The process lives")
def health() -> Health:
    return Health()


@router.get(
    "/ready",
    summary="All that is needed answers",
    dependencies=[Depends(unknown)],
    responses={503: {"model": Readiness, "description": "Something is down."}},
)
def ready(parts: PartsOf, response: Response) -> Readiness:
    """Asks the ledger, the storage and each store that has something; 503 where one does not answer."""
    checks = _checks(parts.services)
    pool = ThreadPoolExecutor(len(checks))
    futures = {pool.submit(_answers, name, check): name for name, check in checks.items()}
    done = wait(futures, timeout=_SECONDS).done
    pool.shutdown(wait=False)
    states = {name: "ok" if future in done and future.result() else "down" for future, name in futures.items()}
    is_ready = all(state == "ok" for state in states.values())
    response.status_code = 200 if is_ready else 503
    return Readiness(ready=is_ready, parts=states)


def _checks(services: Services) -> dict[str, Callable[[], object]]:
    """What to call to see whether a part answers, by its name."""

    def ledger() -> None:
        with services.ledger.transaction() as connection:
            connection.execute(sa.text("SELECT 1"))

    def store(name: str) -> Callable[[], object]:
        one = next(found for found in active if found.store == name)
        return lambda: services.store(name).count(one.collection, _NOBODY)

    try:
        active = services.ledger.active_collections()
    except LedgerError:
        active = []  # which the check of the ledger tells
    return {
        "ledger": ledger,
        "storage": lambda: next(iter(services.storage.list(f"{_NOBODY}/")), None),
        **{name: store(name) for name in sorted({found.store for found in active})},
    }


def _answers(name: str, check: Callable[[], object]) -> bool:
    try:
        check()
    except (SyncAssetsError, OSError) as error:
        log.error("not ready: %s: %s", name, error)
        return False
    return True
