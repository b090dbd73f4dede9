"""Partitions, named as the tests of the chain name them."""

from sync_assets.batches import Partition
from sync_assets_tests.dagster_assets.world import day
from sync_assets_tests.laws.upstream import DAY, START


def place(window: int, tenant: str = "acme") -> Partition:
    return Partition(tenant, day(window), START + window * DAY, START + (window + 1) * DAY)
