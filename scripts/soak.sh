#!/usr/bin/env bash
# The long form of the random tests: the agent killed 1,000 times while specs change, 10,000 operations of the client library under faults on
# each containerd version, 30 turns of every fault between agent and API server, and 6 GB through one log. A failure names its seed: RECONCILER_SEED=N repeats the choices. Usage: sudo scripts/soak.sh
set -eu
cd "$(dirname "$0")/.."
export RECONCILER_KILLS=${RECONCILER_KILLS:-1000}
export RECONCILER_OPERATIONS=${RECONCILER_OPERATIONS:-10000}
export RECONCILER_TURNS=${RECONCILER_TURNS:-30}
export RECONCILER_LOG_ROUNDS=${RECONCILER_LOG_ROUNDS:-96}
exec scripts/test.sh EndToEnd Containerd Agent
