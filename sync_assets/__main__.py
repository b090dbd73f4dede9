"""`python -m sync_assets` is the command `sync-assets`."""

from sync_assets.cli import main

main()
