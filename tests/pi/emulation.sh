#!/usr/bin/env bash
# emulation.sh: lets this machine run aarch64 programs.
set -euo pipefail
apt=(apt-get -o DPkg::Lock::Timeout=300)
release=()
if grep -q bookworm /etc/os-release; then
  # qemu 7.2, bookworm's own, crashes in LiteRT.
  # shellcheck disable=SC2016 # apt's own variables
  mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' \
    | sed -n 's/^[a-z]* //p' | grep '/debian/*$' | sort -u | head -n 1)
  list=/etc/apt/sources.list.d/serenbox-test-pi.list
  trap 'rm -f "$list"' EXIT
  echo "deb $mirror bookworm-backports main" >"$list"
  "${apt[@]}" update -qq -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
  release=(-t bookworm-backports)
fi
"${apt[@]}" install -y -qq --no-install-recommends "${release[@]}" qemu-user-static >/dev/null
# What systemd-binfmt does, for machines where systemd does not run.
formats=/proc/sys/fs/binfmt_misc
mountpoint -q "$formats" || mount -t binfmt_misc binfmt_misc "$formats"
if [ -e "$formats/qemu-aarch64" ]; then echo -1 >"$formats/qemu-aarch64"; fi # perhaps an older qemu
grep '^:' /usr/lib/binfmt.d/qemu-aarch64.conf >"$formats/register"
