"""Whose accounts there are: `tenants.yaml`, validated against each source's own `Account` model.

    tenants:
      acme:
        time_zone: Europe/Amsterdam   # of schedules; default UTC
        api_keys: ["${ACME_API_KEY}"] # of `sync-assets serve`; default none
        freshdesk: {base_url: "https://acme.freshdesk.com", api_key: "${ACME_KEY}"}

`${NAME}` is replaced by the environment variable; a missing one is an error that names the place.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.sources import SOURCE_NAMES, Source, source_module

TenantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}$")]
_NAME = TypeAdapter(TenantName)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class ApiKey(BaseModel):
    """A key that opens one tenant in `sync-assets serve`.

    Attributes:
        audience: the widest that may be asked for with it; `internal` also opens the tenant's jobs.
        principals: those that may be asked for with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretStr
    audience: Literal[Visibility.PUBLIC, Visibility.INTERNAL] = Visibility.PUBLIC
    principals: frozenset[str] = frozenset()


class _Tenant(BaseModel):
    """A tenant's settings, and beside them its accounts by source."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]  # pyright: ignore[reportIncompatibleVariableOverride] pydantic's way

    time_zone: str = "UTC"
    api_keys: list[ApiKey] = []

    @field_validator("api_keys", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """A plain string is a key for what is public."""
        return (
            [{"key": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value
        )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is no IANA time zone, such as Europe/Amsterdam") from None
        return value

    @property
    def accounts(self) -> dict[str, dict[str, Any]]:
        return self.__pydantic_extra__


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tenants: dict[TenantName, _Tenant] = Field(default_factory=dict)


class Tenants:
    """The accounts of every tenant, by source. Loading validates every setting and asks nobody."""

    def __init__(
        self,
        accounts: Mapping[str, Mapping[str, BaseModel]],
        zones: Mapping[str, str],
        api_keys: Mapping[str, Sequence[ApiKey]],
        path: Path,
    ) -> None:
        self._accounts = accounts
        self._zones = zones
        self._api_keys = api_keys
        self._path = path

    @classmethod
    def load(cls, path: Path) -> "Tenants":
        """Read and validate a tenants file; a missing file means no tenants.

        Raises:
            SettingsError: naming file, place, what is wrong and what is allowed.
        """
        if not path.exists():
            return cls({}, {}, {}, path)
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except yaml.YAMLError as error:
            line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
            raise SettingsError(
                f"{path}, line {line}: not valid YAML.", "Quote values that contain ':' or '{'."
            ) from None
        with _mistakes(path):
            tenants = _File.model_validate(content).tenants
        accounts: dict[str, dict[str, BaseModel]] = {tenant: {} for tenant in tenants}
        for tenant, settings in tenants.items():
            for source, account in settings.accounts.items():
                place = f"tenants.{tenant}.{source}"
                if source not in SOURCE_NAMES:
                    raise SettingsError(
                        f"{path}: {place}: unknown source {source!r}.", f"Sources are: {', '.join(SOURCE_NAMES)}."
                    )
                values = _expand(account, place, path)
                with _mistakes(path, place):
                    accounts[tenant][source] = source_module(source).Account.model_validate(values)
        zones = {tenant: settings.time_zone for tenant, settings in tenants.items()}
        return cls(accounts, zones, {tenant: settings.api_keys for tenant, settings in tenants.items()}, path)

    def names(self, source: str | None = None) -> list[str]:
        """Tenants that have an account in `source`, or in any; sorted."""
        return sorted(name for name, accounts in self._accounts.items() if source is None or source in accounts)

    def sources(self, tenant: str) -> list[str]:
        return sorted(self._accounts.get(tenant, {}))

    def time_zone(self, tenant: str) -> str:
        """IANA name of the time zone that a tenant's schedules follow."""
        return self._zones[tenant]

    def api_keys(self, tenant: str) -> list[ApiKey]:
        """The keys that open a tenant, with the values of their variables: `serve` alone needs those.

        Raises:
            SettingsError: a variable is not set.
        """
        place = f"tenants.{tenant}.api_keys"
        return [
            one.model_copy(update={"key": SecretStr(_expand(one.key.get_secret_value(), place, self._path))})
            for one in self._api_keys.get(tenant, ())
        ]

    def open(self, source: str, tenant: str) -> Source:
        """A tenant's account, opened for a run.

        Raises:
            SettingsError: the tenant has no account in this source.
        """
        return source_module(source).Source(tenant, self.account(source, tenant))

    def account(self, source: str, tenant: str) -> BaseModel:
        """A tenant's account as it stands in the file.

        Raises:
            SettingsError: the tenant has no account in this source.
        """
        account = self._accounts.get(tenant, {}).get(source)
        if account is None:
            raise SettingsError(
                f"Tenant {tenant!r} has no account in {source}.", f"Add tenants.{tenant}.{source} to the tenants file."
            )
        return account


def valid_tenant(name: str) -> str:
    """The name, where it is one that can't escape its folder, schema or collection.

    Raises:
        SettingsError: it is not.
    """
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise SettingsError(
            f"{name!r} is not a tenant name.", "Use 1-48 lower case letters, digits, '-' and '_'."
        ) from None


@contextmanager
def _mistakes(path: Path, place: str = "") -> Iterator[None]:
    """Turn what pydantic found into one line with the place in the file, and without the value."""
    try:
        yield
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        inner = [str(part) for part in problem["loc"] if part != "[key]"]
        raise SettingsError(
            f"{path}: {'.'.join([place, *inner] if place else inner) or 'top'}: {problem['msg']}.",
            "See tenants.yaml in the README.",
        ) from None


def _expand(value: Any, place: str, path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item, f"{place}.{key}", path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, f"{place}[{index}]", path) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise SettingsError(
                f"{path}: {place}: ${{{name}}} is not set.", f"Export {name}, or write the value there."
            )
        return os.environ[name]

    return _VARIABLE.sub(variable, value)
