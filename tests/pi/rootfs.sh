#!/usr/bin/env bash
# rootfs.sh KIND FOLDER: makes a root file system like a Raspberry Pi's, of Debian's and PyPI's packages.
#   trixie-amd64    to boot: systemd, Python 3.13, Mosquitto, libcamera's virtual camera, picamera2, LiteRT
#   trixie-arm64    to enter: aarch64, Python 3.13, LiteRT
#   bookworm-arm64  to enter: aarch64, Python 3.11, tflite-runtime with NumPy 1
# Python packages go to FOLDER/opt/site. What it needs of this machine, run.sh has installed.
set -euo pipefail
kind=$1 root=$2
here=$(cd "$(dirname "$0")" && pwd)
suite=${kind%-*} arch=${kind#*-}

# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' \
  | sed -n 's/^[a-z]* //p' | grep '/debian/*$' | sort -u | head -n 1)
[ -n "$mirror" ] || { echo "rootfs.sh: apt knows no Debian mirror: run apt-get update" >&2; exit 1; }

sources=("deb $mirror $suite main")
plain=bash,coreutils,dash,libc-bin,base-files,base-passwd,ca-certificates
case $kind in
  trixie-amd64)
    # libcamera 0.7; the virtual camera of trixie's own gives no usable metadata.
    sources+=("deb $mirror trixie-backports main")
    camera=python3-libcamera/trixie-backports,libcamera-ipa/trixie-backports
    camera+=,python3-prctl,python3-pil,python3-jsonschema,python3-libarchive-c,python3-piexif
    options=(--variant=minbase "--include=systemd,systemd-sysv,dbus,iproute2,procps,mosquitto,python3,python3-venv,$camera")
    ;;
  trixie-arm64) options=(--architectures=arm64 --variant=extract "--include=$plain,libstdc++6,python3,python3.13") ;;
  bookworm-arm64) options=(--architectures=arm64 --variant=extract "--include=$plain,libstdc++6,python3,python3.11") ;;
  *) echo "rootfs.sh: there is no kind $kind" >&2; exit 2 ;;
esac
mmdebstrap --quiet --mode=root "${options[@]}" \
  --dpkgopt=path-exclude=/usr/share/{doc,man,locale}/'*' "$suite" "$root" "${sources[@]}"

python=313 machine=x86_64
[ "$suite" = trixie ] || python=311
[ "$arch" = amd64 ] || machine=aarch64
pip=(python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore
  --no-compile --target "$root/opt/site" --only-binary=:all: --implementation cp
  --python-version "$python" --abi "cp$python" --abi abi3 --abi none
  --platform "manylinux2014_$machine")
for glibc in 17 24 26 27 28 31 34; do pip+=(--platform "manylinux_2_${glibc}_$machine"); done

case $kind in
  bookworm-arm64) "${pip[@]}" 'numpy<2' tflite-runtime==2.14.0 'opencv-python-headless<4.12' ;;
  trixie-arm64) "${pip[@]}" ai-edge-litert opencv-python-headless numpy ;;
  trixie-amd64)
    "${pip[@]}" ai-edge-litert opencv-python-headless numpy paho-mqtt flask h11 prometheus-client
    # Not what they depend on: picamera2's window and its raw files are of no use here.
    "${pip[@]}" --no-deps picamera2 simplejpeg videodev2 av OpenEXR
    lab=$root/opt/pi-lab
    mkdir -p "$lab/frames" "$lab/site" "$root/usr/share/libcamera/pipeline/virtual"
    cp -r "$here"/camera/*.py "$here/camera/pidng" "$lab/site/"
    cp "$here/camera/virtual.yaml" "$root/usr/share/libcamera/pipeline/virtual/"
    gcc -shared -fPIC -O2 -o "$lab/fakedma.so" "$here/camera/fakedma.c" -ldl
    # What apt installs on a Pi is here for every Python, as it is there.
    printf '%s\n' /opt/site /opt/pi-lab/site 'import virtual_camera' \
      >"$root/usr/lib/python3/dist-packages/pi-lab.pth"
    ;;
esac
