"""What the routes work with, made once when the API is started."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import dagster as dg
from fastapi import Depends, Request

from sync_assets.jobs import Jobs
from sync_assets.services import Services

if TYPE_CHECKING:
    from sync_assets.api.gate import Rates
    from sync_assets.api.keys import Keys
    from sync_assets.api.metrics import Metrics


@dataclass(frozen=True)
class Parts:
    """The parts of one app; threads share them."""

    services: Services
    instance: dg.DagsterInstance
    jobs: Jobs
    keys: "Keys"
    rates: "Rates"
    metrics: "Metrics"


def _parts(request: Request) -> Parts:
    return request.app.state.parts


PartsOf = Annotated[Parts, Depends(_parts)]
