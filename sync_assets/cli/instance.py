"""The configuration of Dagster's instance that a new DAGSTER_HOME gets: what `dagster_home/dagster.yaml` says."""

INSTANCE = """\
# Written by sync-assets, which found no dagster.yaml here. Yours to edit: https://docs.dagster.io/deployment/oss
telemetry:
  enabled: false

# SQLite, as by default, in less time.
event_log_storage:
  module: sync_assets.event_log
  class: EventLogStorage
  config:
    home: {env: DAGSTER_HOME}

# Processes of the code server, as Dagster's own launcher has them; the monitor is told of those that died.
run_launcher:
  module: sync_assets.run_launcher
  class: ProcessRunLauncher

concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      # One run of a source, and one of a backfill, at a time; what else waits gets the other place.
      - key: sync_assets/source
        value: {applyLimitPerUniqueValue: true}
        limit: 1
      - key: dagster/backfill
        value: {applyLimitPerUniqueValue: true}
        limit: 1
  pools:
    # Whoever asks an API is in the pool of its source (`freshdesk_api`): one run at a time asks each.
    default_limit: 1
    granularity: run

run_monitoring:
  enabled: true
  # How long a run whose process died may seem to be under way, in seconds.
  poll_interval_seconds: 30
  # A run that hangs is ended after a day; the tag dagster/max_runtime gives one another number of seconds.
  max_runtime_seconds: 86400

retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 90
"""
