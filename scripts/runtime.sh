# shellcheck shell=bash
# shellcheck disable=SC2034 # the launchers read what is set here
# Shared by the launchers: choosing a runtime, setting it up, and reading options. Sourced, not run.

REPOSITORY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly REPOSITORY

# Messages quote configs and file names that other people wrote: control characters are shown as ?.
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

# show_help COMMAND LAUNCHER: prints help from the docs (a test compares them with the code), which needs no set-up.
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

# --- options -------------------------------------------------------------------------------------------

# What each option of the command takes, and the default of each folder it writes into; see
# scripts/launcher_options.py.
declare -A KIND=() DEFAULT=() GIVEN=()

# load_options COMMAND: adds the options of a command to KIND and DEFAULT.
load_options() {
  local command option kind default
  while IFS=$'\t' read -r command option kind default; do
    [[ $command == "$1" ]] || continue
    KIND[$option]=$kind
    if [[ -n $default ]]; then DEFAULT[$option]=$default; fi
  done <"$REPOSITORY/scripts/options.tsv"
}

# read_options ARGUMENT...: sets GIVEN (option -> value, the last one where it is repeated; a flag has none), PAIRS
# (option, value, option, value, ...) and ARGUMENTS (everything else). Needs load_options first.
read_options() {
  PAIRS=() ARGUMENTS=() GIVEN=()
  while (($#)); do
    case $1 in
      --*=*) PAIRS+=("${1%%=*}" "${1#*=}") ;;
      --*)
        if [[ $1 == --help || ${KIND[$1]:-} == flag ]]; then
          PAIRS+=("$1" '')
        else
          PAIRS+=("$1" "${2:-}")
          shift $(($# > 1))
        fi
        ;;
      -*) ;;
      *) ARGUMENTS+=("$1") ;;
    esac
    shift
  done
  local i
  for ((i = 0; i < ${#PAIRS[@]}; i += 2)); do GIVEN[${PAIRS[i]}]=${PAIRS[i + 1]}; done
}

# --- native --------------------------------------------------------------------------------------------

# What .venv can be made from. Each lock file contains the ones before it, in the same versions.
readonly LOCKS=(light cpu dev)

# Makes or refreshes .venv from a lock file: ensure_venv light|cpu|dev. After that, ensure_venv ray adds Ray.
ensure_venv() {
  local lock=$REPOSITORY/requirements/$1.txt python stamp contained
  stamp=$(venv_stamp "$1")
  if venv_is_current "$1" "$stamp"; then return; fi
  if [[ -L $REPOSITORY/.venv ]]; then
    fail ".venv must be a folder of this checkout, because packages are installed into it. Received: a link to" \
      "$(readlink -- "$REPOSITORY/.venv"). Remove the link; the next start makes the folder."
  fi
  python=$(find_python)
  (
    if command -v flock >/dev/null; then
      exec 9>"$REPOSITORY/.venv.lock"
      flock 9
    fi
    if venv_is_current "$1" "$stamp"; then exit; fi # another launcher made it meanwhile
    say "installing the $1 requirements into .venv (once)"
    local install=("$REPOSITORY/.venv/bin/python" -m pip install --disable-pip-version-check)
    if [[ ! -t 2 ]]; then install+=(--quiet); fi
    "$REPOSITORY/.venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$REPOSITORY/.venv"
    "${install[@]}" --require-hashes -r "$lock"
    "${install[@]}" --no-deps --no-build-isolation -e "$REPOSITORY"
    for contained in "${LOCKS[@]}"; do
      if [[ $1 == ray || $contained == "$1" ]]; then break; fi
      venv_stamp "$contained" >"$REPOSITORY/.venv/lock-$contained"
    done
    echo "$stamp" >"$REPOSITORY/.venv/lock-$1"
  ) >&2
}

# A checksum of what .venv is made from: a lock file, the project, and its path (a virtual environment cannot be moved).
venv_stamp() { { cat "$REPOSITORY/requirements/$1.txt" "$REPOSITORY/pyproject.toml" && echo "$REPOSITORY"; } | checksum; }

venv_is_current() { [[ -f $REPOSITORY/.venv/lock-$1 && $(<"$REPOSITORY/.venv/lock-$1") == "$2" ]]; }

find_python() {
  local candidate
  for candidate in "${NIMAKIT_PYTHON:-python3.11}" python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Running without Docker needs Python 3.11 or newer with venv; none was found. Install python3.11."
}

checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }
