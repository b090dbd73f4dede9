"""Everything a stage needs from outside, opened when it is first asked for and closed together.

What belongs here: which implementation stands behind each part of an installation. The stages, the command line and
the assets share one `Services`; tests hand in their own parts.
"""

import threading
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from sync_assets.embedding import Embedder, ModelOptions, open_embedder
from sync_assets.embedding.precisions import as_made
from sync_assets.errors import FingerprintMismatch, SettingsError
from sync_assets.settings import Settings, load_settings
from sync_assets.storage import Storage, open_storage
from sync_assets.tenants import Tenants
from sync_assets.vector_stores import VectorStore

if TYPE_CHECKING:
    from sync_assets.embedding.cache import EmbeddingCache
    from sync_assets.graph.extraction import Extractor
    from sync_assets.graph.store import GraphStore
    from sync_assets.ledger import Ledger, RegisteredCollection


class Services:
    """The opened parts of one installation.

    Args:
        settings: from the environment where none are given.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self._stores: dict[str, VectorStore] = {}
        self._opening = threading.Lock()

    @cached_property
    def tenants(self) -> Tenants:
        return Tenants.load(self.settings.tenants_path)

    @cached_property
    def storage(self) -> Storage:
        return open_storage(self.settings)

    @cached_property
    def ledger(self) -> "Ledger":
        from sync_assets.ledger import Ledger
        from sync_assets.postgres import database_url

        return Ledger(database_url(self.settings), self.settings.lock_timeout)

    @cached_property
    def cache(self) -> "EmbeddingCache":
        from sync_assets.embedding.cache import EmbeddingCache

        return EmbeddingCache(self.ledger.engine)

    @cached_property
    def graph(self) -> "GraphStore":
        """The knowledge graph's tables: in the ledger's database where no other is named."""
        from sync_assets.graph.store import GraphStore
        from sync_assets.postgres import database_url

        url = self.settings.graph_url
        return GraphStore(url.get_secret_value() if url else database_url(self.settings), self.settings.lock_timeout)

    @cached_property
    def extractor(self) -> "Extractor":
        """What finds entities in texts, with the installed spaCy pipelines that the settings name."""
        from sync_assets.graph.extraction import open_extractor

        return open_extractor(self.settings.spacy_models)

    def embedder(self, model: str | None) -> Embedder:
        """A stream's model, or the installation's where the stream names none."""
        return open_embedder(model or self.settings.model, self._model_options)

    def embedder_of(self, model: str) -> Embedder:
        """The model that made a collection, by the name in the registry: in its precision, whatever is set now."""
        return open_embedder(as_made(model), self._model_options)

    def embedder_that_made(self, registered: "RegisteredCollection") -> Embedder:
        """The model that made a collection, to ask the collection questions.

        Raises:
            FingerprintMismatch: the model's name opens another one now.
        """
        embedder = self.embedder_of(registered.model)
        if embedder.fingerprint.key != registered.model_fingerprint:
            raise FingerprintMismatch(
                f"Collection {registered.collection.name} was made with {registered.description}; "
                f"{registered.model!r} is {embedder.fingerprint} now.",
                f"Install that model again, or run `sync-assets collections build {registered.name}`.",
            )
        return embedder

    @property
    def _model_options(self) -> ModelOptions:
        settings = self.settings
        return ModelOptions(
            precision=settings.model_precision,
            voyage_api_key=settings.voyage_api_key,
            voyage_url=settings.voyage_url,
            bedrock_region=settings.bedrock_region,
            requests_per_minute=settings.model_requests_per_minute,
        )

    def store(self, name: str) -> VectorStore:
        """A vector store by name, opened once.

        Raises:
            SettingsError: no store of that name is installed.
        """
        # One for all threads: what lies on disk is locked against other processes, and not against this one.
        with self._opening:
            if name not in self._stores:
                found = {entry.name: entry for entry in entry_points(group="sync_assets.vector_stores")}
                if name not in found:
                    raise SettingsError(
                        f"Unknown vector store {name!r}.", f"Installed are: {', '.join(sorted(found))}."
                    )
                self._stores[name] = found[name].load()(self.settings)
            return self._stores[name]

    def close(self) -> None:
        """Close stores and connections; the next use opens them again."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()
        for name in ("ledger", "graph"):
            if name in self.__dict__:
                getattr(self, name).close()
        for name in ("tenants", "storage", "ledger", "cache", "graph"):
            self.__dict__.pop(name, None)
