#!/bin/sh
# Train on Vertex AI; --help lists the options, --dry-run shows the job and submits nothing.
set -eu
PYTHONPATH=$(cd "$(dirname "$0")/../.." && pwd)
export PYTHONPATH
exec "${PYTHON:-python3}" -m training.vertex.job "$@"
