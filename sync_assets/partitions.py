"""From Dagster's partitions to ours: windows of time by tenants that come and go."""

import dagster as dg

from sync_assets.batches import Grain, Partition
from sync_assets.tenants import valid_tenant

# Tags that tell a run its partitions: keys `window|tenant`. It is about the windows and the tenants between the two.
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

# Tags that people find runs by: what was synced, and whose, with commas between several.
SOURCE_TAG = "sync_assets/source"
TENANTS_TAG = "sync_assets/tenants"

# Tag of a run that embeds also what is more than the settings allow.
NO_LIMITS = "sync_assets/no_limits"

# Name of the dynamic partitions that hold the tenants of the knowledge graph, and of what is measured of searches.
GRAPH_TENANTS = "graph_tenants"

# First parts of the keys of assets that are of no source.
GRAPH, SEARCH = "graph", "search"

_WINDOWS: dict[Grain, type[dg.TimeWindowPartitionsDefinition]] = {
    "hour": dg.HourlyPartitionsDefinition,
    "day": dg.DailyPartitionsDefinition,
    "week": dg.WeeklyPartitionsDefinition,
    "month": dg.MonthlyPartitionsDefinition,
}
_FORMATS: dict[Grain, str] = {
    "hour": "%Y-%m-%d-%H:%M",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d",
    "month": "%Y-%m-%d",
}


def tenants_name(source: str) -> str:
    """Name of the dynamic partitions that hold a source's tenants."""
    return f"{source}_tenants"


def build_partitions(source: str, grain: Grain, start: str) -> dg.MultiPartitionsDefinition:
    """{date, tenant}: windows of the upstream modification time, UTC, the present one included."""
    import datetime as dt

    first = dt.datetime.fromisoformat(start).strftime(_FORMATS[grain])
    windows = _WINDOWS[grain](start_date=first, end_offset=1)  # pyright: ignore[reportCallIssue] the four share this signature
    return dg.MultiPartitionsDefinition(
        {"date": windows, "tenant": dg.DynamicPartitionsDefinition(name=tenants_name(source))}
    )


def time_windows(definition: dg.PartitionsDefinition) -> dg.TimeWindowPartitionsDefinition:
    """The time dimension of a chain's partitions."""
    assert isinstance(definition, dg.MultiPartitionsDefinition)  # noqa: S101 build_partitions made it
    windows = definition.get_partitions_def_for_dimension("date")
    assert isinstance(windows, dg.TimeWindowPartitionsDefinition)  # noqa: S101
    return windows


def to_partition(definition: dg.PartitionsDefinition, key: str) -> Partition:
    """Our partition for one of Dagster's.

    Raises:
        SettingsError: the tenant was added by hand under a name that is not allowed.
    """
    assert isinstance(definition, dg.MultiPartitionsDefinition)  # noqa: S101
    parts = definition.get_partition_key_from_str(key).keys_by_dimension
    window = time_windows(definition).time_window_for_partition_key(parts["date"])
    return Partition(valid_tenant(parts["tenant"]), parts["date"], window.start, window.end)


def grain_of(definition: dg.PartitionsDefinition) -> Grain:
    """The grain that `build_partitions` was called with."""
    windows = time_windows(definition)
    return next(grain for grain, kind in _WINDOWS.items() if isinstance(windows, kind))


def describing_tags(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    """Source and tenants of a run that was launched in the UI, which tells its assets and partitions alone."""
    sources = _sources(run)
    tenants = run_tenants(instance, run)
    if SOURCE_TAG in run.tags or not tenants or not sources:
        return {}
    return {SOURCE_TAG: ",".join(sources), TENANTS_TAG: ",".join(tenants)}


def run_tenants(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Whom a run is about, whoever started it; nobody where it has no partitions."""
    if listed := run.tags.get(TENANTS_TAG):
        return listed.split(",")
    first = run.tags.get(RANGE_START) or run.tags.get("dagster/partition")
    if first is None:
        return []
    ends = [key.rpartition("|")[2] for key in (first, run.tags.get(RANGE_END, first))]
    sources = _sources(run)
    names = [GRAPH_TENANTS if source in (GRAPH, SEARCH) else tenants_name(source) for source in sources[:1]]
    known = [tenant for name in names for tenant in instance.get_dynamic_partitions(name)]
    between = known[known.index(ends[0]) : known.index(ends[1]) + 1] if set(ends) <= set(known) else ends
    return list(dict.fromkeys(between))


def _sources(run: dg.DagsterRun) -> list[str]:
    return sorted({key.path[0] for key in run.asset_selection or ()})
