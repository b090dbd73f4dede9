"""The Dagster components that `defs/` instantiates; Dagster lives here and in `io_managers/`."""

from sync_assets.components.search_quality import SearchQuality
from sync_assets.components.source_sync import SourceSync
from sync_assets.components.support_tables import SupportTables
from sync_assets.components.tenant_graph import TenantGraph

__all__ = ["SearchQuality", "SourceSync", "SupportTables", "TenantGraph"]
