#!/usr/bin/env bash
# The long form of the random tests: the agent killed 1,000 times while specs change. Usage: sudo scripts/soak.sh
set -eu
cd "$(dirname "$0")/.."
export RECONCILER_KILLS=${RECONCILER_KILLS:-1000}
exec scripts/test.sh EndToEnd
