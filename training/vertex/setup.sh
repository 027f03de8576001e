#!/bin/sh
# Pack the training code for pip, into a folder or into a bucket, where Vertex AI finds it.
# Usage: training/vertex/setup.sh FOLDER | gs://BUCKET/FOLDER
# Prints the path or address of the package, for train.sh --package. Needs Python 3.11 and
# setuptools 77, or newer ones, and gcloud for a bucket.
set -eu
case ${1-} in
'' | -*) usage=wrong ;;
*) usage=right ;;
esac
if [ $# -ne 1 ] || [ $usage = wrong ]; then
  echo "usage: $0 FOLDER | gs://BUCKET/FOLDER" >&2
  exit 2
fi
PYTHONPATH=$(cd "$(dirname "$0")/../.." && pwd)
export PYTHONPATH
python=${PYTHON:-python3}
case $1 in
gs://*)
  if ! command -v gcloud >/dev/null; then
    echo "$0: gcloud is not installed (https://cloud.google.com/sdk/docs/install); give a folder instead" >&2
    exit 1
  fi
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  package=$("$python" -m training.vertex.package "$folder")
  gcloud storage cp "$package" "${1%/}/" >&2
  echo "${1%/}/$(basename "$package")"
  ;;
*)
  exec "$python" -m training.vertex.package "$1"
  ;;
esac
