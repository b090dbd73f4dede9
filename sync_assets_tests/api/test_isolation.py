"""No request with a key of one tenant yields anything of another, or changes it, whatever it asks for.

Requests are made from the OpenAPI description, of every route that the app has; names and ids of the other tenant are
put where they fit.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core import NotSet

from sync_assets.jobs import Jobs
from sync_assets_tests.api.conftest import MARKER
from sync_assets_tests.api.installations import INTERNAL, OF_ACME, PUBLIC, bearer

ODD = st.sampled_from(
    [
        "acme",
        "acme' OR '1'='1",
        "%61cme",
        "../acme",
        "acme\u0000",
        "*",
        "$ne",
        "{}",
        MARKER,
        "tenant",
        "acme_freshdesk_1",
    ]
) | st.text(max_size=20)


@pytest.fixture(scope="module")
def foreign_job(client: TestClient) -> Iterator[str]:
    """A job of the other tenant that waits for ever: no job of these tests gets a process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Jobs, "_launch", lambda *_: None)
        asked = {"sources": ["freshdesk"], "streams": ["tickets"]}
        yield client.post("/v1/jobs", json=asked, headers=bearer(OF_ACME)).json()["id"]


@pytest.fixture(scope="module")
def operations(client: TestClient) -> dict[tuple[str, str], Any]:
    """What schemathesis makes requests of, by method and path."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    found: list[Any] = [result.ok() for result in schema.get_all_operations()]  # pyright: ignore
    return {(operation.method.upper(), operation.path): operation for operation in found}


def every_route(routes: list[Any]) -> Iterator[Any]:
    """The routes of an app, those of the routers that it includes too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        yield from [route] if included is None else every_route(included.routes)


def test_the_description_has_every_route(client: TestClient, operations: dict[tuple[str, str], Any]) -> None:
    app: Any = client.app
    routes = list(every_route(app.routes))
    described = {(method, one.path) for one in routes if isinstance(one, APIRoute) for method in one.methods or ()}
    assert described == set(operations)
    others = {one.path for one in routes if not isinstance(one, APIRoute)}
    assert others == {"/openapi.json", "/docs", "/docs/oauth2-redirect"}


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_request_of_one_tenant_yields_or_changes_anything_of_another(
    client: TestClient, operations: dict[tuple[str, str], Any], foreign_job: str, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(sorted(operations)), "operation")
    case = data.draw(operations[place].as_strategy(), "request")
    body = None if isinstance(case.body, NotSet) else _bent(case.body, place[1], data)
    named = {"job_id": st.just(foreign_job) | ODD, "tenant": st.just("acme")}
    path = {
        name: quote(data.draw(named[name], name), safe="") or "-" if name in named else value
        for name, value in case.path_parameters.items()
    }
    response = client.request(
        place[0],
        place[1].format(**path),
        params={**case.query, **data.draw(st.sampled_from([{}, {"tenant": "acme"}]))},
        json=body,
        headers=bearer(data.draw(st.sampled_from([INTERNAL, PUBLIC]), "key")),
    )
    assert response.status_code < 500, response.text
    for text in (MARKER, "acme_freshdesk_"):
        assert text not in response.text
    assert '"tenant":"acme"' not in response.text
    assert response.status_code >= 400 or foreign_job not in response.text
    theirs = client.get(f"/v1/jobs/{foreign_job}", headers=bearer(OF_ACME)).json()
    assert theirs["status"] == "pending"


def _bent(body: Any, path: str, data: st.DataObject) -> Any:
    """The body of a request with the other tenant's names in it."""
    if not isinstance(body, dict) or path != "/v1/search":
        return body
    names = st.sampled_from(["tenant", "source", "stream", "document_id", "record_id", "role", "subject", "readers"])
    more = {
        "text": ODD,
        "tenant": st.sampled_from(["acme", "polder"]),
        "filters": st.dictionaries(names | ODD, ODD | st.lists(ODD, max_size=3), max_size=3),
        "principals": st.lists(ODD, max_size=2),
        "audience": st.sampled_from(["public", "internal"]),
        "top_k": st.just(50),
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(more)), unique=True), "bent")
    return {**body, **{name: data.draw(more[name], name) for name in chosen}}
