"""An installation for each test that asks for one."""

from sync_assets_tests.dagster_assets.conftest import database_url, world

__all__ = ["database_url", "world"]
