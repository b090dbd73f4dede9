"""Who may ask for what: the keys of tenants.yaml, each for one tenant, and the operator's for all.

What belongs here: which key opens what. Where in a request a key stands is in `gate.py`.
"""

import hmac
import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from pydantic import SecretStr

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.settings import Settings
from sync_assets.tenants import Tenants
from sync_assets.vector_stores import Audience

_SHORTEST = 16


class Key(NamedTuple):
    """What a key opens.

    Attributes:
        id: a hash of it, to count its requests by.
        tenant: the only one that it opens; None for the operator's key.
        audience: the widest that it may ask for, with all of its principals; the operator's has no such limit.
    """

    id: str
    tenant: str | None
    audience: Audience

    @property
    def is_operator(self) -> bool:
        return self.tenant is None

    @property
    def is_internal(self) -> bool:
        return self.audience.visibility is Visibility.INTERNAL

    def allows(self, audience: Audience) -> bool:
        """Whether a search on behalf of this audience may be made with the key."""
        narrower = self.is_internal or audience.visibility is Visibility.PUBLIC
        return self.is_operator or (narrower and audience.principals <= self.audience.principals)


class Keys:
    """The keys of an installation. A changed tenants file counts from the next request on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._keys: list[Key] | None = None

    def all(self) -> list[Key]:
        """Every key.

        Raises:
            SettingsError: there is none, two are equal, one is too short, or the tenants file has a mistake.
        """
        path = self._settings.tenants_path
        with self._lock:
            stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else None
            if self._keys is None or stamp != self._read_at:
                self._keys = None  # a file with a mistake opens nothing
                self._keys = _checked(self._settings)
                self._read_at = stamp
            return self._keys

    def find(self, presented: str) -> Key | None:
        """The key that was presented. How long this takes does not depend on which one, or whether it is one.

        Raises:
            SettingsError: see `all`.
        """
        digest, found = _digest(presented), None
        for key in self.all():
            if hmac.compare_digest(key.id, digest):
                found = key
        return found

    def purge_secret(self) -> bytes:
        """What confirmations of purges are signed with: they end with the operator's key."""
        key = self._settings.api_key
        if key is None:
            raise SettingsError("SYNC_ASSETS_API_KEY is not set.", "Only its holder may purge.")
        return sha256(b"purge\0" + key.get_secret_value().encode()).digest()


def _checked(settings: Settings) -> list[Key]:
    found: dict[str, str] = {}
    keys: list[Key] = []
    for place, key, secret in _listed(settings):
        if len(secret.get_secret_value()) < _SHORTEST:
            raise SettingsError(f"{place}: a key is too short.", f"Take at least {_SHORTEST} random characters.")
        if key.id in found:
            raise SettingsError(f"{place} and {found[key.id]} have the same key.", "Give each a key of its own.")
        found[key.id] = place
        keys.append(key)
    if not keys:
        raise SettingsError(
            "No API key is configured: nothing may be served.",
            f"Set SYNC_ASSETS_API_KEY, or `api_keys` of a tenant in {settings.tenants_path}.",
        )
    return keys


def _listed(settings: Settings) -> Iterator[tuple[str, Key, SecretStr]]:
    if settings.api_key is not None:
        everything = Audience(visibility=Visibility.INTERNAL)
        yield "SYNC_ASSETS_API_KEY", Key(_digest_of(settings.api_key), None, everything), settings.api_key
    tenants = Tenants.load(settings.tenants_path)
    for tenant in tenants.names():
        for number, one in enumerate(tenants.api_keys(tenant)):
            audience = Audience(visibility=one.audience, principals=one.principals)
            yield f"tenants.{tenant}.api_keys[{number}]", Key(_digest_of(one.key), tenant, audience), one.key


def _digest_of(secret: SecretStr) -> str:
    return _digest(secret.get_secret_value())


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
