"""Which of Chroma's databases and collections hold what: a database for each tenant, and the catalogue.

What belongs here: names, and what is made, found or dropped under them. What does not: points (`chroma.py`).
"""

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sync_assets.errors import FingerprintMismatch, StoreError
from sync_assets.vector_stores import Collection

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection as ChromaCollection

    from sync_assets.vector_stores.chroma_clients import Chroma

CATALOGUE = "catalogue"
_TENANT_DATABASE = "tenant-"
# Chroma's own rule for names, but for capitals and the dot.
_READABLE_TENANT = re.compile(r"[a-z0-9]([a-z0-9_-]{0,46}[a-z0-9])?")
_VALID_NAME = re.compile(r"[a-z0-9][a-z0-9_]+[a-z0-9]")


def made(chroma: "Chroma", database: str, collection: Collection) -> "ChromaCollection":
    """A collection of this name, made where it is missing.

    Raises:
        FingerprintMismatch: it was made by another model.
    """
    wanted = _config(collection)
    made = chroma.made(database, name_of(collection), wanted)
    if made.metadata != wanted:
        raise FingerprintMismatch(
            f"Chroma collection {collection.name} holds vectors of {_described(made.metadata)}, "
            f"not of {_described(wanted)}.",
            "Write to a new collection; one collection has one model.",
        )
    return made


def stored_of(chroma: "Chroma", collection: Collection, tenant: str) -> "ChromaCollection | None":
    """A tenant's part of a collection; None where the tenant has nothing yet.

    Raises:
        StoreError: there is no such collection.
    """
    found = chroma.found(database_of(tenant), name_of(collection))
    if found is None:
        check_catalogue(chroma, collection)
    return found


def emptied_and_dropped(chroma: "Chroma", database: str, stored: "ChromaCollection") -> None:
    while ids := stored.get(limit=chroma.max_batch, include=[])["ids"]:
        stored.delete(ids)
    chroma.dropped(database, stored.name)


def check_catalogue(chroma: "Chroma", collection: Collection) -> None:
    if chroma.found(CATALOGUE, name_of(collection)) is None:
        raise StoreError(
            f"Chroma collection {collection.name} does not exist.",
            "Run `sync-assets audit --heal`, which fills it again.",
        )


def _config(collection: Collection) -> dict[str, Any]:
    return {"dimension": collection.dimension, "fingerprint": collection.fingerprint}


def _described(config: Mapping[str, Any]) -> str:
    return f"{config['fingerprint']} ({config['dimension']} dimensions)"


def name_of(collection: Collection) -> str:
    """The collection's name as Chroma takes it: three characters at least, none but letters and digits at its ends."""
    return collection.name if _VALID_NAME.fullmatch(collection.name) else f"c.{collection.name}.c"


def database_of(tenant: str) -> str:
    """The tenant's database: its name where that is harmless, else a digest of it."""
    if _READABLE_TENANT.fullmatch(tenant):
        return f"{_TENANT_DATABASE}{tenant}"
    return f"digest-{hashlib.blake2b(tenant.encode(), digest_size=16).hexdigest()}"


def tenant_in(chroma: "Chroma", database: str, collection: Collection) -> str | None:
    """The tenant whose database this is, if it has points in a collection; None where its points don't tell it."""
    stored = None if database == CATALOGUE else chroma.found(database, name_of(collection))
    first: Any = None if stored is None else stored.get(limit=1, include=["metadatas"])
    if not first or not first["ids"]:
        return None
    if database.startswith(_TENANT_DATABASE):
        return database.removeprefix(_TENANT_DATABASE)
    # A digest: documents' ids begin with the tenant.
    tenant = unquote(str((first["metadatas"][0] or {}).get("document_id")).partition("_")[0])
    return tenant if database_of(tenant) == database else None
