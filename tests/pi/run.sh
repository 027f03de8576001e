#!/usr/bin/env bash
# run.sh PYTHON PORTRAIT: tries the service and the models on root file systems like a Raspberry Pi's.
# Needs root, Debian 12 or newer and a network; leaves Debian packages and the kernel's registration of
# qemu behind. PYTHON has serenbox installed; PORTRAIT is a photograph with one face, 512 x 512. KEEP=1 keeps
# the folder.
set -Eeuo pipefail
[ $# = 2 ] || { echo "usage: run.sh PYTHON PORTRAIT" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "run.sh: it boots other root file systems, so it needs root: use sudo" >&2; exit 1; }
python=$(realpath --no-symlinks "$1") portrait=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(realpath "$here/../..")
work=$(mktemp -d /var/tmp/serenbox-pi.XXXXXX)
# Wait first: background jobs still write to the folder.
[ -n "${KEEP:-}" ] || trap 'wait; rm -rf --one-file-system "$work"' EXIT

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

# made PID NAME: waits for a background job; if it failed, shows its log and exits.
made() {
  wait "$1" || { cat "$work/$2.log"; echo "run.sh: $2 failed"; exit 1; }
  say "$2 is there"
}

detect=(-m serenbox.cli.detect --json)
# on_arm KIND RUNTIME: runs a runtime on the photos on aarch64, and writes what it finds to KIND.jsonl.
on_arm() {
  cp -r "$work/made/photos" "$work/$1/photos"
  "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-deps --no-compile --target "$work/$1/opt/site" --ignore-requires-python "$wheel"
  "$here/enter.sh" "$work/$1" bash -c 'uname -m >&2; exec python3 "$@" /photos' \
    _ "${detect[@]}" --runtime "$2" >"$work/$1.jsonl"
}

apt=(apt-get -o DPkg::Lock::Timeout=300)
"${apt[@]}" update -qq
"${apt[@]}" install -y -qq --no-install-recommends \
  mmdebstrap systemd-container arch-test gcc libc6-dev debian-archive-keyring python3-pip >/dev/null
say "the tools are there"

"$here/rootfs.sh" trixie-amd64 "$work/trixie-amd64" >"$work/trixie-amd64.log" 2>&1 &
amd64=$!
"$here/emulation.sh" >"$work/emulation.log" 2>&1 &
emulation=$!

mkdir "$work/source"
cp -r "$checkout"/{pyproject.toml,setup.py,README.md,LICENSE,NOTICE,serenbox} "$work/source"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/wheel" "$work/source"
wheel=$(echo "$work"/wheel/serenbox-*.whl)
"$python" "$here/photos.py" "$portrait" "$work/made"
"$python" "${detect[@]}" "$work/made/photos" >"$work/reference.jsonl"
say "wheel and photos are there"

made "$emulation" emulation
"$here/rootfs.sh" trixie-arm64 "$work/trixie-arm64" >"$work/trixie-arm64.log" 2>&1 &
arm64=$!
"$here/rootfs.sh" bookworm-arm64 "$work/bookworm-arm64" >"$work/bookworm-arm64.log" 2>&1 &
oldarm64=$!

made "$amd64" trixie-amd64
root=$work/trixie-amd64 lab=$work/trixie-amd64/opt/pi-lab
mkdir -p "$lab/tests/pi"
cp "$here/../__init__.py" "$lab/tests/"
cp -r "$here/__init__.py" "$here/inside" "$lab/tests/pi/"
cp -r "$work/made/frames" "$checkout/systemd" "$wheel" "$lab/"
cp "$here/inside/selftest.service" "$root/etc/systemd/system/"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../selftest.service "$root/etc/systemd/system/multi-user.target.wants/"
"$here/boot.sh" "$root" "$work/console.log" &
boot=$!

failed=0
compare() { "$python" "$here/compare.py" "$1" "$work/reference.jsonl" "$work/$2.jsonl" || failed=1; }
made "$arm64" trixie-arm64
on_arm trixie-arm64 ai-edge-litert
compare "aarch64, Python 3.13, LiteRT" trixie-arm64
made "$oldarm64" bookworm-arm64
on_arm bookworm-arm64 tflite-runtime
compare "aarch64, Python 3.11, tflite-runtime" bookworm-arm64

wait "$boot"
results=$(grep --text --only-matching --extended-regexp '(PASS|FAIL|DONE).*' "$work/console.log" || true)
echo "$results"
if ! grep -q '^DONE' <<<"$results" || grep -q '^FAIL' <<<"$results"; then
  grep --text 'python3\[' "$work/console.log" | tail -n 200
  failed=1
fi
say "$([ "$failed" = 0 ] && echo "all is well" || echo "something failed, see above")"
exit "$failed"
