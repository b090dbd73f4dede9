"""The settings of one tenant's Slack workspace, and which channels they choose."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from sync_assets.sources.http import BaseUrl, Limits
from sync_assets.sources.slack_messages import Channel

# A channel's name with or without `#`, its id, or a pattern of either.
ChannelPattern = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^#?[^#\s]+$")]


class Account(BaseModel):
    """One tenant's Slack workspace, as it stands in `tenants.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr | None = Field(
        default=None,
        description="Bot token (xoxb-...) with channels:read, channels:history, users:read; for private channels also "
        "groups:read, groups:history; for the texts of files also files:read",
    )
    export: Path | None = Field(default=None, description="Path of an export archive, in place of a token")
    channels: list[ChannelPattern] | None = Field(
        default=None,
        min_length=1,
        description="Names, ids or patterns of the channels to sync; default all that the app is a member of",
    )
    exclude_channels: list[ChannelPattern] = Field(
        default=[], description="Names, ids or patterns of channels to leave out, whatever else names them"
    )
    private: bool = Field(default=False, description="Sync private channels too, for their members only")
    bots: bool = Field(default=False, description="Keep what apps and bots say")
    thread_rescan_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Age of a thread's root, in days, up to which late replies are looked for",
    )
    history_per_minute: int = Field(
        default=50,
        ge=1,
        le=100_000,
        description="Calls in any minute of each of the two methods that list messages; Slack allows 50, and 1 to apps "
        "that are sold to others outside of its Marketplace",
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description="Another root for https://slack.com and https://files.slack.com, for a proxy or a simulator",
    )
    limits: Limits = Field(default_factory=Limits, description="How fast and how patiently the account is asked")

    @field_validator("token")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and re.fullmatch(r"[!-~]+", value.get_secret_value()) is None:
            raise ValueError("must be a token: letters, digits and dashes")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.token is None) == (self.export is None):
            raise ValueError("set exactly one of token and export")
        return self

    def names(self, channel: Channel) -> bool:
        """Whether the allow list is absent or holds the channel."""
        return self.channels is None or _is_in(self.channels, channel)

    def excludes(self, channel: Channel) -> bool:
        return _is_in(self.exclude_channels, channel) or (channel.is_private and not self.private)

    def wants(self, channel: Channel) -> bool:
        return self.names(channel) and not self.excludes(channel)


def _is_in(entries: Iterable[str], channel: Channel) -> bool:
    patterns = [entry.lstrip("#") for entry in entries]
    return any(fnmatchcase(name, pattern) for name in (channel.name, channel.id) for pattern in patterns)
