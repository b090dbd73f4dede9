"""The app: every route, behind the gate and in the frame.

What belongs here: putting the parts together. `cli/serve.py` serves it.
"""

from collections.abc import Callable

import dagster as dg
from fastapi import FastAPI

from sync_assets.api import health, jobs, metrics, purges, searches
from sync_assets.api.frame import Frame
from sync_assets.api.gate import Rates
from sync_assets.api.keys import Keys
from sync_assets.api.parts import Parts
from sync_assets.api.problems import MEDIA_TYPE, Problem, handle
from sync_assets.jobs import Jobs
from sync_assets.services import Services

_DESCRIPTION = """\
Search in what `sync-assets` keeps of one tenant, and syncs of it.

Send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`. A tenant's key opens that tenant alone; the operator's
names one in each request. Errors are `application/problem+json` with the request's id, which stands in the log too.
"""


def create_app(services: Services, definitions: Callable[[], dg.Definitions], instance: dg.DagsterInstance) -> FastAPI:
    """The API of an installation.

    Args:
        definitions: of the code location, for jobs.

    Raises:
        SettingsError: no key is configured, or one is wrong.
    """
    keys = Keys(services.settings)
    keys.all()
    app = FastAPI(
        title="sync_assets",
        version="1",
        description=_DESCRIPTION,
        redoc_url=None,
        responses={
            code: {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": description}
            for code, description in {
                401: "No key, or a wrong one.",
                403: "The key does not open this.",
                422: "The request was not understood.",
                429: "Too many requests; Retry-After says when to ask again.",
            }.items()
        },
    )
    app.state.parts = Parts(
        services=services,
        instance=instance,
        jobs=Jobs(services.settings, definitions, instance),
        keys=keys,
        rates=Rates(services.settings.api_requests_per_minute),
        metrics=metrics.Metrics(services.ledger, instance),
    )
    for module in (searches, jobs, purges, health, metrics):
        app.include_router(module.router)
    handle(app)
    app.add_middleware(Frame)
    return app
