#!/usr/bin/env bash
# Installs SerenBox as a service, or removes it. It can be run any number of times.
set -Eeuo pipefail
umask 022 # whatever root's umask is, the service's user must be able to read the program
# The service sees none of this; pip would find the caller's packages, or install elsewhere.
export PYTHONNOUSERSITE=1
unset PYTHONPATH PYTHONHOME CDPATH PIP_TARGET PIP_USER PIP_PREFIX

readonly PREFIX=/opt/serenbox
readonly CONFIG=/etc/serenbox/serenbox.toml
readonly UNIT=/etc/systemd/system/serenbox.service
readonly OLD_USB=$UNIT.d/usb-camera.conf NEW_USB=$UNIT.d/00-usb-camera.conf
readonly STATE=/var/lib/serenbox
readonly RULES=/etc/udev/rules.d # `serenbox check` may have advised to put some there
readonly PASSWORD=/etc/credstore/serenbox.mqtt-password
readonly COMMANDS=(serenbox serenbox-detect)
# In the output of pip and apt: what names a cause, ...
readonly TELLING='(^|[^-[:alpha:]])[[:alpha:].]*([Ee]rror|ERROR)[: ]|^[EW]: |'\
'certificate verify failed'
# ... what pip always adds to it, ...
readonly CLOSING='^(note|hint): |^\[end of output\]|'\
'^error: (subprocess-exited-with-error|metadata-generation-failed)$|'\
'^ERROR: (Failed (building|to build)|Could not build wheels) '
# ... and what a missing network looks like.
readonly NO_CONNECTION='NewConnectionError|NameResolutionError|name resolution|[Uu]nreachable|'\
'[Tt]imed out|Connection (refused|reset|aborted)|Could not connect|Temporary failure resolving'
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
work= # a temporary folder
log=  # in it, the output of the last command

usage() {
  cat <<'TEXT'
usage: install.sh [--wheel FILE] | --uninstall

Installs SerenBox from the checkout that this script is in, or from a wheel, and starts it.
  --wheel FILE  install this wheel
  --uninstall   stop it and remove all of it: program, service, user, state, and the settings
                with whatever else is in their folder, such as your scripts
TEXT
}

say() { printf '%s\n' "$*"; }

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

# attempt SENTENCE COMMAND...: runs the command silently; if it fails, exits with SENTENCE and the
# last telling lines of its output.
attempt() {
  local sentence=$1
  shift
  "$@" >"$log" 2>&1 </dev/null || fail "$sentence ($(last_words))"
}

# attempt_online WHAT ADVICE COMMAND...: as `attempt` with "WHAT: ADVICE", but it advises to connect
# if there was no connection.
attempt_online() {
  local what=$1 advice=$2
  shift 2
  "$@" >"$log" 2>&1 </dev/null && return
  if grep -aEq "$NO_CONNECTION" "$log"; then advice="connect to the network and try again"; fi
  fail "$what: $advice ($(last_words))"
}

last_words() {
  local said telling
  said=$(sed 's/^[[:space:]]*//; /^$/d' "$log" | grep -aEv "$CLOSING" || true)
  telling=$(grep -aE "$TELLING" <<<"$said" || true)
  said=$(tail -n 3 <<<"${telling:-${said:-it said nothing}}" | paste -s -d ' ')
  # The copy that is built from is gone when somebody reads this.
  say "${said//"$work/source"/"$checkout"}"
}

# The virtual environment is made anew, or removed, with all that is in its folder.
check_prefix() {
  local folder path
  folder=$(realpath -m "$PREFIX")
  for path in "$checkout" ${wheel:+"$wheel"}; do
    [[ $(realpath -m "$path")/ != "$folder"/* ]] \
      || fail "$path is in $PREFIX, which belongs to the installed program: move it elsewhere"
  done
  [ -e "$PREFIX/pyvenv.cfg" ] || [ -z "$(ls -A "$PREFIX" 2>/dev/null)" ] \
    || fail "$PREFIX is no virtual environment of SerenBox, and would be lost: move it away"
}

is_raspberry_pi() { grep -qsa 'Raspberry Pi' /proc/device-tree/model; }

has_package() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^.i'; }

install_packages() {
  local wanted=(python3-venv) missing=() package
  if is_raspberry_pi; then wanted+=(python3-picamera2); fi
  for package in "${wanted[@]}"; do
    has_package "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null \
    || fail "${missing[*]} is missing and there is no apt-get: use this system's package manager"
  say "Installing ${missing[*]} with apt ..."
  attempt_online "apt-get could not install ${missing[*]}" \
    "run \`sudo apt-get install ${missing[*]}\`" apt_install "${missing[@]}"
}

apt_install() {
  local options=(-qq -o DPkg::Lock::Timeout=300)
  # It also fails if some other list is broken: whether that matters, the installation shows.
  apt-get update "${options[@]}" || true
  DEBIAN_FRONTEND=noninteractive \
    apt-get install "${options[@]}" -y --no-install-recommends "$@"
}

check_python() {
  command -v python3 >/dev/null || fail "there is no python3: run \`sudo apt-get install python3\`"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$(python3 --version) is too old; 3.11 is needed: use Debian 12 or newer"
  python3 -c 'import sys; sys.exit(sys.maxsize < 2**32 and sys.version_info >= (3, 12))' \
    || fail "$(python3 --version) is a 32-bit one, and tflite-runtime exists only up to Python" \
      "3.11: use a 64-bit Raspberry Pi OS, or 32-bit bookworm"
}

# apt's picamera2 is built for apt's NumPy: where NumPy is installed, pip must keep its version.
constraints() {
  python3 -c 'import numpy; print(f"numpy=={numpy.__version__}")' 2>/dev/null || true
}

# Whether the virtual environment is complete and made for this Python.
has_environment() {
  local said version
  # venv writes this last: before, it says "false".
  grep -qsx 'include-system-site-packages = true' "$PREFIX/pyvenv.cfg" || return 1
  said=$("$PREFIX/bin/python" -m pip --version 2>/dev/null) || return 1
  # After the system has got a new Python, this may be the system's pip.
  version=${said##*(python } said=${said#* from }
  [[ $(realpath -m "${said% (*}") == "$(realpath "$PREFIX")/lib/python${version%)}"/* ]]
}

# Removes all but pyvenv.cfg, so that an interruption leaves what `check_prefix` still lets pass.
empty_environment() {
  if [ -d "$PREFIX" ]; then find "$PREFIX/" -mindepth 1 ! -path "$PREFIX/pyvenv.cfg" -delete; fi
}

make_environment() {
  empty_environment
  python3 -m venv --clear --system-site-packages "$PREFIX"
}

install_program() {
  local pip=("$PREFIX/bin/python" -m pip --disable-pip-version-check --no-cache-dir --quiet)
  say "Installing the program in $PREFIX ..."
  has_environment \
    || attempt "no virtual environment could be made in $PREFIX: remove it and try again" \
      make_environment
  if [ -z "$wheel" ]; then
    # Build from a copy, so that no file of root's is left in the checkout.
    mkdir "$work/source" "$work/wheel"
    attempt "the program could not be copied to $work: free some disk space there" \
      cp -r "$checkout"/{pyproject.toml,setup.py,README.md,LICENSE,NOTICE,serenbox} "$work/source"
    attempt_online "the wheel could not be built" "mend this and try again" \
      "${pip[@]}" wheel --no-deps --wheel-dir "$work/wheel" "$work/source"
    wheel=$(echo "$work"/wheel/*.whl)
  fi
  constraints >"$work/constraints"
  attempt_online "pip could not install what SerenBox needs" "mend this and try again" \
    "${pip[@]}" install --constraint "$work/constraints" "${wheel}[web]"
  # pip skips a wheel of the version that is installed, but its files may differ.
  attempt "pip could not install $wheel: try again" \
    "${pip[@]}" install --no-deps --force-reinstall "$wheel"
  mkdir -p /usr/local/bin
  local command
  for command in "${COMMANDS[@]}"; do
    ln -sfn "$PREFIX/bin/$command" "/usr/local/bin/$command"
  done
}

# The service would run as a person's account of this name, and --uninstall would remove it.
is_a_person() { getent passwd serenbox | grep -Eqv ':[^:]*/(nologin|false)$'; }

install_files() {
  attempt "the user serenbox could not be made: see $here/sysusers.conf" \
    systemd-sysusers "$here/sysusers.conf"
  attempt "the folders could not be made: see $here/tmpfiles.conf" \
    systemd-tmpfiles --create "$here/tmpfiles.conf"
  install -D -m 644 "$here/serenbox.service" "$UNIT"
}

# This drop-in resets lists: under its old name it sorts after others and undoes what they add.
rename_drop_in() {
  local shipped=$here/drop-ins/00-usb-camera.conf
  [ -f "$OLD_USB" ] || return 0
  # Leave a file that its owner has changed.
  [ "$(settings_of "$OLD_USB")" = "$(settings_of "$shipped")" ] || return 0
  [ -e "$NEW_USB" ] || install -m 644 "$shipped" "$NEW_USB"
  rm "$OLD_USB"
  say "$OLD_USB is now $NEW_USB."
}

settings_of() { grep -Ev '^(#|[[:space:]]*$)' "$1" || true; }

write_config() {
  local present=$CONFIG.new
  "$PREFIX/bin/serenbox" config >"$present" 2>"$log" \
    || fail "the settings could not be written to $present: $(last_words)"
  chmod 644 "$present"
  if [ ! -e "$CONFIG" ]; then
    mv "$present" "$CONFIG"
  elif cmp -s "$present" "$CONFIG"; then
    rm "$present"
    say "Keeping the settings in $CONFIG."
  else
    say "Keeping the settings in $CONFIG; every setting there is, with its default: $present"
  fi
}

start() {
  attempt "systemd could not read the unit $UNIT" systemctl daemon-reload
  attempt "the service could not be enabled" systemctl enable serenbox.service
  systemctl reset-failed serenbox.service 2>/dev/null || true
  attempt "the service could not be started: run \`journalctl -u serenbox\`" \
    systemctl restart --no-block serenbox.service
  local seconds
  for ((seconds = 0; seconds < 30; seconds++)); do
    if systemctl is-active --quiet serenbox.service; then
      say "SerenBox is running. Settings: $CONFIG. Check everything with: sudo serenbox check"
      return
    fi
    sleep 1
  done
  say "SerenBox is installed, but not ready yet. Find out why: sudo serenbox check"
}

install_all() {
  check_prefix
  { command -v systemctl >/dev/null && [ -d /run/systemd/system ]; } \
    || fail "systemd is not running here, and the service needs it: see README.md for other ways"
  if [ -n "$wheel" ]; then
    [ -f "$wheel" ] || fail "there is no wheel $wheel: give the path of a serenbox-….whl"
    wheel=$(realpath "$wheel")
  else
    [ -f "$checkout/pyproject.toml" ] \
      || fail "$checkout is not a checkout of SerenBox: give a wheel with --wheel FILE"
  fi
  # Python imports modules from the folder it is started in: nothing there may run as root.
  cd /
  if is_a_person; then
    fail "there is a user serenbox who may log in: rename that account first"
  fi
  install_packages
  check_python
  install_program
  install_files
  rename_drop_in
  write_config
  start
}

# Prints the files that --uninstall removes although this script did not make them.
files_of_the_owner() {
  local folder
  for folder in "$(dirname "$CONFIG")" "$UNIT.d"; do
    if [ -d "$folder" ]; then
      find "$folder" ! -type d ! -path "$CONFIG" ! -path "$CONFIG.new" | sort
    fi
  done
  if [ -d "$RULES" ]; then find "$RULES" -name '99-serenbox-*.rules' | sort; fi
  if [ -e "$PASSWORD" ]; then echo "$PASSWORD"; fi
}

# Overwrites the history before removing it, so that no moods are left in free blocks of the disk.
remove_history() {
  STATE_DIRECTORY=$STATE "$PREFIX/bin/serenbox" history --delete >"$log" 2>&1 && return
  # There is none, or the program is broken. Nobody else may put a link in the place of a file.
  [ -d "$STATE" ] || return 0
  { chown root: "$STATE" && chmod 700 "$STATE" \
    && find "$STATE/" -maxdepth 1 -type f -links 1 -exec shred -n 1 -u {} +; } >>"$log" 2>&1 \
    || say "The history is removed without overwriting it: moods may be left in free blocks of" \
      "the disk ($(last_words))"
}

# The state may be on a partition of its own, whose mount point stays.
remove_state() {
  if ! mountpoint -q "$STATE"; then
    rm -rf "$STATE"
    return
  fi
  find "$STATE/" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
  say "The partition at $STATE is empty now, and stays mounted: take it out of /etc/fstab."
}

uninstall_all() {
  local own
  check_prefix
  own=$(files_of_the_owner | paste -s -d ' ')
  say "Removing the program, its settings, its history${own:+, and these files of yours: $own} ..."
  if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
    systemctl disable --now serenbox.service >"$log" 2>&1 || true
    systemctl reset-failed serenbox.service 2>/dev/null || true
  fi
  remove_history
  empty_environment || true
  rm -rf "$UNIT" "$UNIT.d" /etc/systemd/system/*.wants/serenbox.service \
    "$PASSWORD" "$PREFIX" "$(dirname "$CONFIG")" "$RULES"/99-serenbox-*.rules /run/serenbox
  remove_state
  local command
  for command in "${COMMANDS[@]}"; do
    if [ "$(readlink "/usr/local/bin/$command" || true)" = "$PREFIX/bin/$command" ]; then
      rm "/usr/local/bin/$command"
    fi
  done
  if getent passwd serenbox >/dev/null && ! is_a_person; then
    attempt "the user serenbox could not be removed: end its processes and try again" \
      userdel serenbox
  fi
  if getent group serenbox >/dev/null && ! is_a_person; then
    attempt "the group serenbox could not be removed" groupdel serenbox
  fi
  if [ -d /run/systemd/system ]; then systemctl daemon-reload 2>/dev/null || true; fi
  say "SerenBox is gone. System packages, such as python3-venv, stay, and so does what an MQTT" \
    "broker keeps of it (retained topics): docs/mqtt.md says how to remove that."
}

wheel=
action=install_all
while [ $# -gt 0 ]; do
  case $1 in
    --wheel)
      [ -n "${2:-}" ] || fail "--wheel needs a FILE"
      wheel=$2
      shift
      ;;
    --uninstall) action=uninstall_all ;;
    -h | --help)
      usage
      exit
      ;;
    *)
      usage >&2
      fail "there is no option $1"
      ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || fail "this changes the system, so it needs root: run it with sudo"
work=$(realpath "$(mktemp -d)") || fail "no temporary folder could be made: free some disk space"
log=$work/log
trap 'rm -rf "$work"' EXIT
trap 'fail "the step in line $LINENO failed: free some disk space, or report this"' ERR
"$action"
