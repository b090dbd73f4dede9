"""Which checks a sync evaluates with the assets that it materializes.

What belongs here: the choice among checks that are defined elsewhere.
"""

from collections.abc import Collection
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

EQUALS_LEDGER = "equals_ledger"
# Those of `checks/health.py`.
HEALTH = ("freshness", "failed_partitions", "one_fingerprint", "no_deleted_documents")


def checks_of_sync(graph: BaseAssetGraph[Any], assets: Collection[dg.AssetKey]) -> set[dg.AssetCheckKey]:
    """The checks that come with these assets: not those of what stores hold as a whole, which have schedules."""
    return {
        check
        for check in graph.asset_check_keys
        if check.asset_key in assets and check.name not in (EQUALS_LEDGER, *HEALTH)
    }
