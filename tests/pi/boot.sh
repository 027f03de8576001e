#!/usr/bin/env bash
# boot.sh FOLDER LOG: boots a root file system under its own systemd, in a network of its own, until
# it powers itself off. Its console goes to LOG; the exit status is not that of what ran in it.
# Without the right to load BPF programs its systemd could enforce neither IPAddressDeny= nor
# DevicePolicy=.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --kill-after=10 300 systemd-nspawn --directory "$1" --boot \
  --register=no --keep-unit --private-network --capability=CAP_BPF --system-call-filter=bpf \
  --machine="pi-lab-$$" </dev/null >"$2" 2>&1 || true
