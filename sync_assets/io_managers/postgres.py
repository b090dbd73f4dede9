"""Documents in SQL as well as in files, in hybrid mode."""

import dagster as dg

from sync_assets.batches import Batch
from sync_assets.components.failures import failures
from sync_assets.io_managers.object_storage import ObjectStorageIOManager
from sync_assets.ledger.bodies import write_bodies


class PostgresIOManager(ObjectStorageIOManager):
    """Keeps documents in files, which later stages read, and in the table `document_bodies`, which people query.

    In `vector_only` mode it writes files alone, and removes what an earlier hybrid mode left of deleted documents.
    """

    def handle_output(self, context: dg.OutputContext, obj: Batch) -> None:
        super().handle_output(context, obj)
        hybrid = self._services.settings.storage_mode == "hybrid"
        with failures():
            written = write_bodies(self._services.ledger, obj, only_deletions=not hybrid)
        if hybrid:
            # A text: the same metadata goes to every partition of the run, and a number would be summed over them.
            context.add_output_metadata({"rows_written_to_sql": f"{written} by this run"})
