#!/usr/bin/env bash
# enter.sh FOLDER COMMAND...: runs a command inside a root file system, and leaves nothing mounted.
# aarch64 programs find a Raspberry Pi 5's processor: qemu's own default has vector extensions that no
# Pi has, and takes ten times as long over them.
root=$(realpath "$1")
shift
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount bash -c '
  for folder in proc sys dev; do mkdir -p "$0/$folder" && mount --rbind "/$folder" "$0/$folder"; done
  exec chroot "$0" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PYTHONPATH=/opt/site \
    PYTHONDONTWRITEBYTECODE=1 QEMU_CPU=cortex-a76 \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' "$root" "$@"
