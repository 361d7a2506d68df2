# shellcheck shell=bash
# What setup.sh and build.sh share; sourced by both.

# The label that an image of our own carries: a hash of the files it was built from.
# shellcheck disable=SC2034  # build.sh and setup.sh use it.
hash_label=lossproof.image.hash
# Downloads and logs. Everything in it can be deleted at any time.
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/lossproof
mkdir -p "$cache"
apt_lists_are_fresh=

say() { echo "lossproof set-up: $*"; }

# 4 is lossproof's exit code for an environment that lacks something.
die() {
  echo "lossproof set-up: $*" >&2
  exit 4
}

# logged NAME COMMAND...: runs a long command with its output in a log, of which only a failure shows the end.
logged() {
  local log=$cache/$1.log
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    die "this failed: $* (the whole log: $log)"
  }
}

# bounded SECONDS COMMAND...: for registries that never answer. macOS has no timeout(1).
bounded() {
  local seconds=$1
  shift
  if command -v timeout >/dev/null; then timeout "$seconds" "$@"; else "$@"; fi
}

# Installing is for root on a system whose packages we know; elsewhere people choose for themselves.
may_install() { [[ $EUID -eq 0 && -r /etc/os-release ]] && grep -Eq '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release; }

refresh_apt_lists() {
  if [[ -z $apt_lists_are_fresh ]]; then
    logged apt apt-get -qy update
    apt_lists_are_fresh=1
  fi
}

install_packages() {
  say "installing $*"
  refresh_apt_lists
  logged apt env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"
}
