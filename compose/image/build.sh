#!/usr/bin/env bash
# Builds lossproof's own images; setup.sh calls it for what is missing.
#
#   build.sh sidecar TAG          the tools that networks and disks are broken with
#   build.sh kafka TAG VERSION    Apache Kafka, where apache/kafka cannot be pulled
#   build.sh hash sidecar|kafka   the hash that an image built now would be labelled with
#
# Both start from Debian: debian:bookworm-slim if a registry can be reached, else a base made by
# debootstrap from the host's own package mirror, and then nothing is downloaded inside a container.
# The base and the jars are kept in a cache folder. They are made under another name and renamed when
# complete, so that an interrupted build leaves nothing half done.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=compose/image/common.sh
source "$here/common.sh"
registry_base=debian:bookworm-slim
own_base=lossproof/base:1
# To be raised when a change in this script alone makes another image.
recipe=1

# A hash of what an image is made of: names, modes and contents of its files, and the recipe.
hash_of() {
  local files=(base-packages)
  case $1 in
    base) ;;
    sidecar) files+=(sidecar.Dockerfile sidecar) ;;
    kafka) files+=(kafka.Dockerfile pom.xml kafka) ;;
    *) die "there is no image called $1" ;;
  esac
  # The inner shell expands $1.
  # shellcheck disable=SC2016
  (cd "$here" && echo "$recipe" && find "${files[@]}" -type f -print0 | LC_ALL=C sort -z \
    | xargs -0 -n 1 sh -c 'echo "$1"; if [ -x "$1" ]; then echo executable; fi; cat "$1"' _) | digest
}

# macOS has no sha256sum.
digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }

# --- the base -----------------------------------------------------------------------------------

# Prints the image to build from. What is made here for it goes to stderr.
base_image() {
  if docker image inspect "$registry_base" >/dev/null 2>&1 \
    || bounded 120 docker pull -q "$registry_base" >/dev/null 2>&1; then
    echo "$registry_base"
  else
    ensure_own_base >&2
    echo "$own_base"
  fi
}

ensure_own_base() {
  local hash tar
  hash=$(hash_of base)
  if [[ $(docker image inspect --format "{{ index .Config.Labels \"$hash_label\" }}" "$own_base" 2>/dev/null) == "$hash" ]]; then
    return
  fi
  may_install || die "$registry_base cannot be pulled, and only root on Debian or Ubuntu can make a base image without a registry"
  command -v debootstrap >/dev/null || install_packages debootstrap
  tar=$cache/base-$hash.tar
  if [[ ! -s $tar ]]; then
    rm -f "$cache"/base-*.tar
    make_base_tar "$tar"
  fi
  docker import --change "LABEL lossproof.image=1" --change "LABEL $hash_label=$hash" "$tar" "$own_base" >/dev/null
}

# A tar of a minimal system of the host's own release, with the packages of base-packages.
make_base_tar() {
  local tar=$1 suite packages mirror components=main
  suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  # Ubuntu keeps its Java runtime in universe.
  if grep -q '^ID=ubuntu' /etc/os-release; then components=main,universe; fi
  packages=$(grep -v '^#' "$here/base-packages" | paste -sd, -)
  mirror=$(mirror_of "$suite")
  [[ -n $mirror ]] || die "apt knows no mirror of $suite, so that no base image can be made"
  say "making a base image of $suite by debootstrap (about a minute)"
  logged debootstrap debootstrap --variant=minbase --components="$components" --include="$packages" "$suite" "$work/root" "$mirror"
  tar -C "$work/root" --numeric-owner --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' \
    --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./usr/share/doc/*' \
    --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' -cf "$work/base.tar" .
  mv "$work/base.tar" "$tar"
  remove_root
}

# The package mirror that this machine's apt uses for release $1.
mirror_of() {
  # apt expands the names in $().
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' \
    | awk -v suite="$1" '$2 == suite && !found { print $1; found = 1 }'
}

# debootstrap mounts /proc in its root, and an interrupted one leaves it mounted.
remove_root() {
  umount "$work"/root/proc "$work"/root/sys 2>/dev/null || true
  rm -rf --one-file-system "$work/root"
}

# --- the images ---------------------------------------------------------------------------------

# The jars of one Kafka version into folder $2 of the cache, with this machine's maven settings.
fetch_jars() {
  local version=$1 jars=$2 log4j
  if [[ -d $jars ]]; then
    return
  fi
  say "fetching the jars of Kafka $version"
  logged "maven-$version" mvn -q -B -f "$here/pom.xml" -Dkafka.version="$version" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$work/jars"
  # Kafka 4 logs by log4j2, but its artifacts do not name the bridge from slf4j, which its distribution has.
  for log4j in "$work"/jars/log4j-core-*.jar; do
    [[ -e $log4j ]] || break
    log4j=$(basename "$log4j" .jar)
    logged "maven-$version" mvn -q -B dependency:copy -DoutputDirectory="$work/jars" \
      -Dartifact="org.apache.logging.log4j:log4j-slf4j-impl:${log4j#log4j-core-}"
  done
  mv "$work/jars" "$jars"
}

# `docker build` without the buildx plugin is the classic builder, which a recent client has to be asked for.
docker_build() {
  if docker buildx version >/dev/null 2>&1; then
    docker build "$@"
  else
    DOCKER_BUILDKIT=0 docker build "$@"
  fi
}

# build_image WHAT TAG: builds from $work/context, and drops the image that had the tag before.
build_image() {
  local what=$1 tag=$2 before base
  before=$(docker image inspect --format '{{ .Id }}' "$tag" 2>/dev/null || true)
  base=$(base_image)
  say "building $tag from $base"
  logged "build-$what" docker_build --build-arg "BASE=$base" \
    --label lossproof.image=1 --label "$hash_label=$(hash_of "$what")" \
    -f "$work/context/$what.Dockerfile" -t "$tag" "$work/context"
  # One that is in use stays.
  if [[ -n $before && $before != $(docker image inspect --format '{{ .Id }}' "$tag") ]]; then
    docker image rm "$before" >/dev/null 2>&1 || true
  fi
}

build_sidecar() {
  mkdir "$work/context"
  cp -R "$here/sidecar.Dockerfile" "$here/sidecar" "$work/context"
  build_image sidecar "$1"
}

build_kafka() {
  local tag=$1 version=$2 jars jars_job base_job failed=
  # Before the two jobs, as apt allows one installation at a time.
  if ! command -v mvn >/dev/null; then
    may_install || die 'Apache Maven (mvn) is missing; it fetches the jars of Kafka'
    install_packages maven
  fi
  jars=$cache/jars-$version-$(digest <"$here/pom.xml")
  # Both mostly wait for the network.
  fetch_jars "$version" "$jars" &
  jars_job=$!
  base_image >/dev/null &
  base_job=$!
  wait "$jars_job" || failed=1
  wait "$base_job" || failed=1
  [[ -z $failed ]] || exit 4

  mkdir "$work/context"
  cp -R "$here/kafka.Dockerfile" "$here/kafka" "$work/context"
  cp -R "$jars" "$work/context/libs"
  build_image kafka "$tag"
}

# The folder of unfinished work. Killed builds could not remove theirs.
make_work_folder() {
  find "$cache" -maxdepth 1 -name 'work.*' -mmin +180 -exec rm -rf {} +
  work=$(mktemp -d "$cache/work.XXXXXX")
  trap 'remove_root; rm -rf "$work"' EXIT
}

case ${1:-} in
  sidecar)
    make_work_folder
    build_sidecar "${2:?a tag}"
    ;;
  kafka)
    make_work_folder
    build_kafka "${2:?a tag}" "${3:?a version}"
    ;;
  hash) hash_of "${2:?sidecar or kafka}" ;;
  *) die 'usage: build.sh sidecar TAG | kafka TAG VERSION | hash sidecar|kafka' ;;
esac
