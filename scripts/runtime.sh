# shellcheck shell=bash
# What the launchers share: which runtime, its set-up, and reading options. Sourced, not run.

REPOSITORY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly REPOSITORY

# Messages quote configs and names that come from others: what would steer a terminal is shown as ?.
say() {
  local lines
  mapfile -t lines <<<"${0##*/}: $*"
  printf '%s\n' "${lines[@]//[[:cntrl:]]/?}" >&2
}
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

# show_help COMMAND LAUNCHER: out of the docs (a test holds them to the code), so that it needs no set-up.
show_help() {
  awk -v heading="## nimakit${1:+ $1}" '
    $0 == heading { found = 1; next }
    found && /^## / { exit }
    found && /^```/ { inside = !inside; next }
    found && inside { print }
  ' "$REPOSITORY/docs/cli.md" | sed "s|nimakit${1:+ $1}|$2|g"
}

wants_help() {
  local argument
  for argument in "$@"; do
    case $argument in -h | --help) return 0 ;; esac
  done
  return 1
}

# read_options FLAGS ARGUMENT...: calls note_option OPTION VALUE for each option, with no value for the FLAGS;
# what is neither comes to stand in ARGUMENTS.
read_options() {
  local flags=$1 arguments=("${@:2}") i
  ARGUMENTS=()
  for ((i = 0; i < ${#arguments[@]}; i++)); do
    case ${arguments[i]} in
      --*=*) note_option "${arguments[i]%%=*}" "${arguments[i]#*=}" ;;
      --*)
        if [[ " $flags " == *" ${arguments[i]} "* ]]; then
          note_option "${arguments[i]}" ''
        else
          note_option "${arguments[i]}" "${arguments[i + 1]:-}"
          i=$((i + 1))
        fi
        ;;
      -*) ;;
      *) ARGUMENTS+=("${arguments[i]}") ;;
    esac
  done
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
