# shellcheck shell=bash
# What the launchers share: which runtime, its set-up, and what a container gets to see. Sourced, not run.

REPOSITORY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly REPOSITORY
readonly OUR_IMAGES=(nima-cpu nima-gpu)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}

# --- runtime -------------------------------------------------------------------------------------------

# Prints docker or native: what NIMAKIT_RUNTIME asks for, else docker where an engine answers.
choose_runtime() {
  case ${NIMAKIT_RUNTIME:-} in
    native) echo native ;;
    docker)
      engine_answers || fail "NIMAKIT_RUNTIME=docker needs a Docker engine, and none answers. Start one, or unset it."
      echo docker
      ;;
    '') if engine_answers; then echo docker; else echo native; fi ;;
    *) fail "NIMAKIT_RUNTIME must be docker or native. Received: $NIMAKIT_RUNTIME" ;;
  esac
}

engine_answers() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# The help of a command, out of the docs (a test holds them to the code): it needs no set-up.
show_help() {
  awk -v heading="## nimakit $1" '
    $0 == heading { found = 1; next }
    found && /^## / { exit }
    found && /^```/ { inside = !inside; next }
    found && inside { print }
  ' "$REPOSITORY/docs/cli.md" | sed "s|nimakit $1|./$1|g"
}

wants_help() {
  local argument
  for argument in "$@"; do
    case $argument in -h | --help) return 0 ;; esac
  done
  return 1
}

# --- native --------------------------------------------------------------------------------------------

# Makes or refreshes .venv from a lock file: ensure_venv cpu|dev
ensure_venv() {
  local lock=$REPOSITORY/requirements/$1.txt python stamp
  stamp=$(venv_stamp "$1")
  # The dev lock holds all of the cpu lock, in the same versions.
  if venv_is_current "$1" "$stamp"; then return; fi
  python=$(find_python)
  (
    if command -v flock >/dev/null; then
      exec 9>"$REPOSITORY/.venv.lock"
      flock 9
    fi
    if venv_is_current "$1" "$stamp"; then exit; fi # another launcher made it meanwhile
    say "installing the $1 requirements into .venv (once, some minutes)"
    local install=("$REPOSITORY/.venv/bin/python" -m pip install --disable-pip-version-check)
    if [[ ! -t 2 ]]; then install+=(--quiet); fi
    "$REPOSITORY/.venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$REPOSITORY/.venv"
    "${install[@]}" --require-hashes -r "$lock"
    "${install[@]}" --no-deps --no-build-isolation -e "$REPOSITORY"
    printf '%s' "$stamp" >"$REPOSITORY/.venv/lock-$1"
    if [[ $1 == dev ]]; then venv_stamp cpu >"$REPOSITORY/.venv/lock-cpu"; fi
  ) >&2
}

# What .venv is made of: a lock file, the project, and where it stands (a virtual environment cannot be moved).
venv_stamp() { { cat "$REPOSITORY/requirements/$1.txt" "$REPOSITORY/pyproject.toml" && echo "$REPOSITORY"; } | checksum; }

venv_is_current() { [[ -f $REPOSITORY/.venv/lock-$1 && $(<"$REPOSITORY/.venv/lock-$1") == "$2" ]]; }

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Running without Docker needs Python 3.11 or newer with venv; none was found. Install python3.11."
}

checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

# --- Docker --------------------------------------------------------------------------------------------

# What a container needs of a JSON file is read with jq alone, never by a shell.
require_jq() {
  command -v jq >/dev/null || fail "Reading $1 needs jq, and none was found. Install it, or set NIMAKIT_RUNTIME=native."
}

# Builds one of our images where it is missing or older than its sources; other images are used as they are.
ensure_image() {
  local image=$1 dockerfile sources
  [[ $image =~ ^[[:alnum:]][[:alnum:]._/:@-]*$ ]] || fail "A Docker image has a name such as nima-cpu. Received: $image"
  [[ " ${OUR_IMAGES[*]} " == *" $image "* ]] || return 0
  dockerfile=Dockerfile.${image#nima-}
  sources=$(source_checksum "$dockerfile" "${image#nima-}")
  if [[ $(docker image inspect --format '{{index .Config.Labels "nimakit.sources"}}' "$image" 2>/dev/null) == "$sources" ]]; then
    return
  fi
  say "building the image $image (once, some minutes)"
  local options=(--file "$REPOSITORY/$dockerfile" --tag "$image" --label "nimakit.sources=$sources")
  if [[ -n ${NIMAKIT_BASE_IMAGE:-} ]]; then options+=(--build-arg "BASE_IMAGE=$NIMAKIT_BASE_IMAGE"); fi
  docker build "${options[@]}" "$REPOSITORY" >&2
}

# Of the base image's name, and of names and contents: tail heads each file with its name.
source_checksum() {
  (
    cd -- "$REPOSITORY" || exit
    printf '%s\n' "${NIMAKIT_BASE_IMAGE:-}"
    find "$1" "requirements/$2.txt" pyproject.toml entrypoints src -type f ! -path '*/__pycache__/*' -print0 |
      LC_ALL=C sort -z | xargs -0 tail -n +1
  ) | checksum
}

# Mounts of the container to run: path -> ro or rw. Paths are the same inside and outside, so that messages
# and results are the same with and without Docker.
declare -A MOUNTS=()
# The same paths -> what they lead to outside, links followed.
declare -A SOURCES=()

mount_input() {
  if [[ -p $1 ]]; then fail "A container cannot read the pipe $1. Use a file, or NIMAKIT_RUNTIME=native."; fi
  if [[ -f $1 || -d $1 ]]; then add_mount "$1" ro; fi
}

mount_output() {
  local folder=.
  if [[ $1 == */* ]]; then folder=${1%/*}; fi
  if [[ -d ${folder:-/} ]]; then add_mount "${folder:-/}" rw; fi
}

# add_mount PATH ro|rw: at its absolute path without . and .. parts, links left as they are. A folder the path
# leaves again by .. is mounted too: without it, the path would lead nowhere inside.
add_mount() {
  local path=$1 parts=() part walked='' target=''
  [[ $path == /* ]] || path=$PWD/$path
  IFS=/ read -r -d '' -a parts < <(printf '%s\0' "$path")
  for part in "${parts[@]}"; do
    case $part in
      '' | .) continue ;;
      ..)
        if [[ $PWD/ != "$target"/* ]] && ! is_system_folder "$target"; then set_mount "$target" ro "$walked"; fi
        target=${target%/*}
        ;;
      *) target+=/$part ;;
    esac
    walked+=/$part
  done
  if is_system_folder "${target:-/}"; then
    fail "A container cannot be given ${target:-/}, which is its own. Use another folder, or NIMAKIT_RUNTIME=native."
  fi
  set_mount "$target" "$2" "$walked"
}

# set_mount TARGET ro|rw PATH: what PATH leads to outside is at TARGET inside.
set_mount() {
  local source
  source=$(realpath -- "$3" && echo .)
  SOURCES[$1]=${source%$'\n.'}
  if [[ ${MOUNTS[$1]:-} != rw ]]; then MOUNTS[$1]=$2; fi
}

is_system_folder() {
  case $1 in
    / | /bin | /dev | /etc | /lib | /lib64 | /opt | /opt/nimakit* | /proc | /run | /sbin | /sys | /usr | /usr/bin | /usr/lib | /usr/local | /usr/local/*) return 0 ;;
  esac
  return 1
}

# run_container IMAGE ENTRYPOINT ARGUMENT...: as the calling user, without a network, root read-only.
run_container() {
  local image=$1 entrypoint=$2 target mount cache options group
  shift 2
  options=(--rm --init --network none --read-only --tmpfs /run/nimakit:mode=1777 --user "$(id -u):$(id -g)")
  options+=(--env HOME=/run/nimakit --env TMPDIR=/run/nimakit --workdir "$PWD")
  cache=${NIMAKIT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/nimakit}
  if mkdir -p -- "$cache" 2>/dev/null && [[ -w $cache ]]; then
    add_mount "$cache" rw
    options+=(--env "NIMAKIT_CACHE=$cache")
  fi
  for group in $(id -G); do options+=(--group-add "$group"); done
  if [[ $image == *gpu* ]]; then options+=(--gpus all); fi
  for target in "${!MOUNTS[@]}"; do
    mount="type=bind,$(csv_field "source=${SOURCES[$target]}"),$(csv_field "target=$target")"
    if [[ ${MOUNTS[$target]} == ro ]]; then mount+=,readonly; fi
    options+=(--mount "$mount")
  done
  exec docker run "${options[@]}" --entrypoint "/opt/nimakit/entrypoints/$entrypoint" "$image" "$@"
}

csv_field() { printf '"%s"' "${1//\"/\"\"}"; }
