#!/usr/bin/env bash
# Makes this machine ready to run lossproof, and says what it does. Safe to run again at any time.
#
#   setup.sh          all of the below
#   setup.sh tools    1 only: what the Rust build needs
#   setup.sh engine   1 to 3: without the images
#
#   1. cargo, gcc, make, and OpenSSL to link with
#   2. a Docker engine that answers: the one that is there, or else (as root on Debian or Ubuntu) the
#      distribution's docker.io, installed and started
#   3. the compose plugin, version 2
#   4. the images: Kafka (KAFKA_IMAGE, by default apache/kafka:3.9.2) and lossproof's sidecar; pulled,
#      or else built by image/build.sh
#
# Exit codes: 0 ready, 4 something is missing that it cannot or may not install.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=compose/image/common.sh
source "$here/image/common.sh"
kafka_image=${KAFKA_IMAGE:-apache/kafka:3.9.2}
sidecar_image=lossproof/sidecar:1
engine_log=/var/log/lossproof-dockerd.log

# --- what the Rust build needs ------------------------------------------------------------------

ensure_build_tools() {
  command -v cargo >/dev/null || die 'cargo is missing; install Rust: https://rustup.rs'
  local missing=() tool
  for tool in gcc make; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  # librdkafka's TLS. Homebrew's OpenSSL is found without pkg-config.
  if [[ -z ${OPENSSL_DIR:-} && $(uname) != Darwin ]] && ! pkg-config --exists openssl 2>/dev/null; then
    missing+=(pkg-config libssl-dev)
  fi
  if [[ ${#missing[@]} -gt 0 ]]; then
    may_install || die "missing for the Rust build: ${missing[*]}"
    install_packages "${missing[@]}"
  fi
}

# --- the engine ---------------------------------------------------------------------------------

engine_answers() { docker info >/dev/null 2>&1; }

ensure_engine() {
  if engine_answers; then
    return
  fi
  if [[ -n ${DOCKER_HOST:-} ]]; then
    die "DOCKER_HOST is set to $DOCKER_HOST, and no engine answers there; start it, or unset DOCKER_HOST"
  fi
  if command -v docker >/dev/null; then
    local context
    context=$(docker context show 2>/dev/null || echo default)
    [[ $context == default ]] || die "no engine answers in the docker context $context; start it, or: docker context use default"
    # Not in a pipe: docker's own failure would be the pipe's.
    if grep -qi 'permission denied' <<<"$(docker info 2>&1)"; then
      die 'a Docker engine runs here, but not for this user; join the group docker (sudo usermod -aG docker NAME) and log in again'
    fi
  fi
  may_install || die 'no Docker engine answers; start it (Docker Desktop, colima, or: sudo systemctl start docker),' \
    'or install one: https://docs.docker.com/get-docker/'
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v iptables >/dev/null || missing+=(iptables)
  if [[ ${#missing[@]} -gt 0 ]]; then
    install_packages "${missing[@]}"
  fi
  engine_answers || start_engine
}

start_engine() {
  if [[ -d /run/systemd/system ]]; then
    say 'starting the Docker engine (systemd)'
    systemctl start docker || die 'systemctl start docker failed; see: journalctl -u docker'
  elif pid_file_is_live /var/run/docker.pid dockerd; then
    say 'a Docker engine is starting already'
  else
    say "starting the Docker engine (log: $engine_log)"
    remove_stale_files
    setsid dockerd >"$engine_log" 2>&1 </dev/null &
  fi
  local deadline=$((SECONDS + 30))
  until engine_answers; do
    if ((SECONDS >= deadline)); then
      tail -n 20 "$engine_log" >&2 || true
      die 'the Docker engine did not answer within 30 s; the end of its log is above'
    fi
    sleep 0.2
  done
}

# True if the process in pid file $1 lives and is a $2. A zombie keeps its name, but not its command line.
pid_file_is_live() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ && $(cat "/proc/$pid/comm" 2>/dev/null) == "$2" ]] \
    && [[ -n $(tr -d '\0' <"/proc/$pid/cmdline") ]]
}

# An engine that was killed leaves pid files. Once another process has got the number, dockerd takes
# it for a running engine and refuses to start.
remove_stale_files() {
  pid_file_is_live /var/run/docker.pid dockerd || rm -f /var/run/docker.pid
  if ! pid_file_is_live /var/run/docker/containerd/containerd.pid containerd; then
    rm -f /var/run/docker/containerd/containerd.pid /var/run/docker/containerd/*.sock*
  fi
}

# --- the compose plugin -------------------------------------------------------------------------

compose_version() { docker compose version --short 2>/dev/null; }

ensure_compose() {
  if compose_version >/dev/null; then
    return
  fi
  may_install || die 'the compose plugin of Docker (version 2) is missing; install it: https://docs.docker.com/compose/install/'
  refresh_apt_lists
  local package
  package=$(compose_package)
  if [[ -n $package ]]; then
    install_packages "$package"
  elif grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
    install_compose_of_trixie
  fi
  compose_version >/dev/null || die 'the compose plugin of Docker (version 2) could not be installed; see https://docs.docker.com/compose/install/'
}

# The package that has the plugin in this system's own sources: Docker's, Ubuntu's, or Debian's (where,
# up to version 12, docker-compose is version 1, another program).
compose_package() {
  local package
  for package in docker-compose-plugin docker-compose-v2 docker-compose; do
    if apt-cache policy "$package" | grep -Eq 'Candidate: ([0-9]+:)?([2-9]|[1-9][0-9])\.'; then
      echo "$package"
      return
    fi
  done
}

# Debian 12 has no plugin, but that of Debian 13 is one static binary that runs there too. It comes from this
# machine's own mirror, checked by its own keys, by package lists of its own: the system's sources stay as they are.
install_compose_of_trixie() {
  say 'installing docker-compose of Debian 13 (Debian 12 has no compose plugin)'
  local folder file
  folder=$(mktemp -d)
  mkdir -p "$folder/sources" "$folder/lists/partial" "$folder/archives/partial"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    if [[ -f $file ]]; then
      sed 's/bookworm/trixie/g' "$file" >"$folder/sources/$(basename "$file" | sed 's/^sources\.list$/debian.list/')"
    fi
  done
  local options=(-qy -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$folder/sources"
    -o Dir::State::lists="$folder/lists" -o Dir::Cache::archives="$folder/archives" -o APT::Sandbox::User=root)
  logged apt apt-get "${options[@]}" update
  (cd "$folder" && logged apt apt-get "${options[@]}" download docker-compose)
  logged apt dpkg -i "$folder"/docker-compose_*.deb
  rm -rf "$folder"
}

# --- the images ---------------------------------------------------------------------------------

ensure_images() {
  # One set-up at a time: the next one finds the images made. (Without flock, on macOS, they are pulled.)
  if command -v flock >/dev/null; then
    exec 9>"$cache/lock"
    flock 9
  fi
  ensure_kafka_image
  if ! is_current "$sidecar_image" sidecar; then
    "$here/image/build.sh" sidecar "$sidecar_image"
  fi
}

ensure_kafka_image() {
  if is_current "$kafka_image" kafka; then
    return
  fi
  # An outdated one of our own is not pulled but built anew: it was built for want of a registry.
  if built_from "$kafka_image" >/dev/null; then
    say "the files that $kafka_image was built from have changed"
  else
    say "pulling $kafka_image"
    if bounded 600 docker pull -q "$kafka_image" >/dev/null 2>&1; then
      return
    fi
    say "$kafka_image cannot be pulled"
  fi
  [[ $kafka_image =~ ^(docker\.io/)?apache/kafka:([0-9]+\.[0-9]+\.[0-9]+)$ ]] \
    || die "only apache/kafka:<version> can be built here; pull or load $kafka_image, or choose another KAFKA_IMAGE"
  "$here/image/build.sh" kafka "$kafka_image" "${BASH_REMATCH[2]}"
}

# True if image $1 is there and usable: not ours (pulled), or ours and built from the present files.
is_current() {
  local hash
  hash=$(built_from "$1") && [[ -z $hash || $hash == "$("$here/image/build.sh" hash "$2")" ]]
}

# The hash that image $1 was labelled with, empty for one that is not ours; fails if there is no such image.
built_from() {
  docker image inspect --format "{{ with .Config.Labels }}{{ index . \"$hash_label\" }}{{ end }}" "$1" 2>/dev/null
}

case ${1:-all} in
  tools) ensure_build_tools ;;
  engine)
    ensure_build_tools
    ensure_engine
    ensure_compose
    ;;
  all)
    ensure_build_tools
    ensure_engine
    ensure_compose
    ensure_images
    say "ready: Docker $(docker version --format '{{ .Server.Version }}'), compose $(compose_version), $kafka_image, $sidecar_image"
    ;;
  *) die 'usage: setup.sh [tools|engine]' ;;
esac
