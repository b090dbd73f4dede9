"""One tenant's Backlog space, as it stands in `tenants.yaml`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from sync_assets.sources.http import BaseUrl, Limits

ProjectKey = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_]+$")]


class BacklogLimits(Limits):
    """As `Limits`, one request at a time, as Nulab asks of all clients."""

    max_concurrent_requests: int = Field(default=1, ge=1, le=50, description="Requests under way at the same time")


class Account(BaseModel):
    """One tenant's Backlog space, as it stands in `tenants.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseUrl = Field(description="Root of the space, such as https://acme.backlog.com")
    api_key: SecretStr = Field(min_length=1, description="API key of a user who has joined the projects")
    projects: list[ProjectKey] | None = Field(
        default=None,
        min_length=1,
        description="Keys of the projects to sync, also of archived ones; default all that the user has joined and "
        "that are not archived. "
        "Named projects make deletions sure: what is not found while all of them can be read, is gone",
    )
    limits: BacklogLimits = Field(
        default_factory=BacklogLimits, description="How fast and how patiently the account is asked"
    )
