"""Searches over HTTP.

What belongs here: requests and answers. How documents are found is in `sync_assets.search`.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from sync_assets.api.gate import AnyKey, tenant_of
from sync_assets.api.parts import PartsOf
from sync_assets.api.problems import Refusal
from sync_assets.api.words import Words, clean
from sync_assets.documents import Visibility
from sync_assets.search import Mode, Result, search
from sync_assets.services import Services
from sync_assets.sources import SOURCE_NAMES
from sync_assets.tenants import TenantName
from sync_assets.vector_stores import Audience
from sync_assets.vector_stores.matching import AnyOf, Between

router = APIRouter(prefix="/v1", tags=["search"])

_Question = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), AfterValidator(clean)
]
_Key = Annotated[Words, Field(min_length=1, max_length=100)]
_Value = (
    bool
    | Annotated[int, Field(ge=-(2**53), le=2**53)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[Words, Field(max_length=500)]
)
_Values = Annotated[list[_Value], Field(min_length=1, max_length=100)]


class OneOf(BaseModel):
    """A filter's value: equal to one of these, or, of a list, containing one."""

    model_config = ConfigDict(extra="forbid")

    any_of: _Values


class Period(BaseModel):
    """A filter's value: a date on or after `since` and before `until`, days in UTC."""

    model_config = ConfigDict(extra="forbid")

    since: date | datetime | None = None
    until: date | datetime | None = None


class SearchRequest(BaseModel):
    """A question.

    Attributes:
        tenant: a tenant's key needs to name none.
        mode: `dense` compares meanings, `lexical` looks for the words, `hybrid` does both.
        store: which vector store answers; default one for each stream.
        filters: on stream, document_id, record_id, role or any metadata: a value, a list of which all must be there,
            `{"any_of": [...]}` or `{"since": ..., "until": ...}`. All of them must hold.
        audience: on whose behalf; `internal` sees private notes too.
        principals: groups or persons whose restricted texts are seen too.
        rerank: put the best into a finer order, by a cross-encoder.
        recency, feedback: share of the score, 0..1, that is how new a document is, or how it has helped others.
        expand: add what is near in the knowledge graph.
        neighbours: how many chunks before and after the best one to add.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "router keeps restarting"},
                {
                    "text": "refund",
                    "mode": "hybrid",
                    "top_k": 10,
                    "source": "freshdesk",
                    "filters": {
                        "status": {"any_of": ["open", "pending"]},
                        "modified_at": {"since": "2026-01-01", "until": "2026-04-01"},
                    },
                    "audience": "internal",
                },
            ]
        },
    )

    text: _Question
    tenant: TenantName | None = None
    mode: Mode = "hybrid"
    top_k: int = Field(default=5, ge=1, le=50)
    source: Literal[SOURCE_NAMES] | None = None  # pyright: ignore[reportInvalidTypeForm]
    store: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,48}$")] | None = None
    filters: dict[_Key, _Value | _Values | OneOf | Period] = Field(default={}, max_length=20)
    audience: Literal[Visibility.PUBLIC, Visibility.INTERNAL] = Visibility.PUBLIC
    principals: Annotated[frozenset[Words], Field(max_length=100)] = frozenset()
    rerank: bool = False
    recency: float = Field(default=0.0, ge=0, le=1)
    feedback: float = Field(default=0.0, ge=0, le=1)
    expand: bool = False
    neighbours: int = Field(default=0, ge=0, le=10)


class SearchAnswer(BaseModel):
    """The best documents, best first, each by its best chunk."""

    results: list[Result]


@router.post("/search", summary="Find documents")
def find(body: SearchRequest, parts: PartsOf, key: AnyKey) -> SearchAnswer:
    """The documents of the key's tenant that answer a question best, of those that the audience may see."""
    tenant = tenant_of(key, body.tenant)
    audience = Audience(visibility=body.audience, principals=body.principals)
    if not key.allows(audience):
        raise Refusal(403, "This key does not allow that audience.")
    with parts.metrics.search(body.mode):
        return SearchAnswer(results=_found(parts.services, tenant, audience, body))


def _found(services: Services, tenant: str, audience: Audience, body: SearchRequest) -> list[Result]:
    return search(
        services,
        body.text,
        tenant=tenant,
        audience=audience,
        mode=body.mode,
        top_k=body.top_k,
        source=body.source,
        store=body.store,
        filters={name: _filter(value) for name, value in body.filters.items()},
        rerank=body.rerank,
        recency=body.recency,
        feedback=body.feedback,
        expand=body.expand,
        neighbours=body.neighbours,
    )


def _filter(value: Any) -> Any:
    """A filter's value as stores take it."""
    if isinstance(value, OneOf):
        return AnyOf(value.any_of)
    return Between(value.since, value.until) if isinstance(value, Period) else value
