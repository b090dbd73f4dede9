"""Every error that a user can meet: one line that names what was found, and the remedy.

Messages are shown as they stand in the terminal, in Dagster's events and in the quarantine, so none may carry a secret.
"""


class SyncAssetsError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: what was found, in one line, naming the setting, tenant or file concerned.
        remedy: what the reader can do about it, in one line.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy

    @property
    def kind(self) -> str:
        """The name of the class of this module that it is one of."""
        return next(one.__name__ for one in type(self).__mro__ if one.__module__ == __name__)


class SettingsError(SyncAssetsError):
    """A setting or a command line option is missing or wrong; nothing was started."""


class SourceError(SyncAssetsError):
    """An upstream system refused, could not be reached or answered nonsense for a whole request."""


class FileUnavailable(SyncAssetsError):
    """One file that a record names can't be had, and others can."""


class StorageError(SyncAssetsError):
    """Object storage could not be read or written (a full disk, a missing bucket, a missing file)."""


class LedgerError(SyncAssetsError):
    """The ledger's database could not be reached, or a lock in it was not obtained in time."""


class GraphError(SyncAssetsError):
    """The graph's database (SYNC_ASSETS_GRAPH_URL) is out of reach, refuses, or has a lock that was not obtained."""


class GraphRefusal(GraphError):
    """The graph's database takes other rows, and none like these."""


class StoreError(SyncAssetsError):
    """A vector store could not be reached, or refused a write."""


class EmbeddingError(SyncAssetsError):
    """A model could not be loaded or failed to embed."""


class LimitError(SyncAssetsError):
    """A run would compute more than the settings allow; nothing of it was computed."""


class FingerprintMismatch(SyncAssetsError):
    """A write carries another model fingerprint than its collection (law 6)."""


class CollectionError(SyncAssetsError):
    """A collection can't be built, switched or dropped as things are; nothing of it was done."""


class JobError(SyncAssetsError):
    """A job is not in a state in which it can be paused, resumed or canceled, or a tenant has too many of them."""


class NotificationError(SyncAssetsError):
    """A message could not be handed over to one of the places that SYNC_ASSETS_NOTIFY names."""
