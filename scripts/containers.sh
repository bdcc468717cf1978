# shellcheck shell=bash
# What the launchers share about Docker: images, what a container gets to see, and running one. Sourced after
# runtime.sh, not run.

readonly OUR_IMAGES=(nima-cpu nima-gpu nima-serve)

# What a container needs of a JSON file is read with jq alone, never by a shell.
require_jq() {
  command -v jq >/dev/null || fail "Reading $1 needs jq, and none was found. Install it, or set NIMAKIT_RUNTIME=native."
}

# read_text VARIABLE FILE KEY: the text under a key of a JSON file; fails where there is none.
read_text() {
  local text
  require_jq "$2"
  text=$(jq -er --arg key "$3" '.[$key] | strings + "."' -- "$2" 2>/dev/null) || return 1
  printf -v "$1" '%s' "${text%.}" # the dot keeps newlines at the end
}

# --- images --------------------------------------------------------------------------------------------

# choose_image FILE...: $image, where nothing chose it yet, is what the first of these files names, else our own. An
# image that only a file names must be ours or $trusted: it runs with the caller's files, and files come from others.
# A file that is no JSON, or no config, is refused further on with all that is wrong with it.
choose_image() {
  local file
  for file in "$@"; do
    [[ -z $image && -f $file ]] && read_text image "$file" docker_image && [[ -n $image ]] || continue
    check_image_name
    # shellcheck disable=SC2154 # the launchers set it
    is_ours "$image" || [[ $image == "$trusted" ]] ||
      fail "A config may choose among nima-cpu and nima-gpu; any other image needs --trust-image. Received: $image," \
        "in $file. Add --trust-image $image, or choose ours by --docker-image nima-cpu."
  done
  image=${image:-nima-cpu}
  check_image_name
}

check_image_name() {
  [[ $image =~ ^[[:alnum:]][[:alnum:]._/:@-]*$ ]] || fail "A Docker image has a name such as nima-cpu. Received: $image"
}

# Built by us, under any tag.
is_ours() { [[ $1 =~ ^([a-z-]+)(:[[:alnum:]_.-]+)?$ && " ${OUR_IMAGES[*]} " == *" ${BASH_REMATCH[1]} "* ]]; }

# Builds one of our images where it is missing or older than its sources; other images are used as they are.
ensure_image() {
  local image=$1 dockerfile sources
  [[ " ${OUR_IMAGES[*]} " == *" $image "* ]] || return 0
  dockerfile=Dockerfile.${image#nima-}
  sources=$(source_checksum "$dockerfile")
  if [[ $(docker image inspect --format '{{index .Config.Labels "nimakit.sources"}}' "$image" 2>/dev/null) == "$sources" ]]; then
    return
  fi
  say "building the image $image (once, some minutes)"
  local options=(--file "$REPOSITORY/$dockerfile" --tag "$image" --label "nimakit.sources=$sources")
  if [[ -n ${NIMAKIT_BASE_IMAGE:-} ]]; then options+=(--build-arg "BASE_IMAGE=$NIMAKIT_BASE_IMAGE"); fi
  docker build "${options[@]}" "$REPOSITORY" >&2
}

# source_checksum DOCKERFILE: of the base image's name, and of names and contents of what goes into the image: tail
# heads each file with its name.
source_checksum() {
  local locks
  (
    cd -- "$REPOSITORY" || exit
    mapfile -t locks < <(sed -n 's|^COPY \(requirements/[a-z]*\.txt\).*|\1|p' "$1")
    printf '%s\n' "${NIMAKIT_BASE_IMAGE:-}"
    find "$1" "${locks[@]}" pyproject.toml entrypoints scripts/slim-image src -type f ! -path '*/__pycache__/*' -print0 |
      LC_ALL=C sort -z | xargs -0 tail -n +1
  ) | checksum
}

# --- mounts --------------------------------------------------------------------------------------------

# Mounts of the container to run: path -> ro or rw. Paths are the same inside and outside, so that messages
# and results are the same with and without Docker.
declare -A MOUNTS=()
# The same paths -> what they lead to outside, links followed.
declare -A SOURCES=()

# A container run next sees what is mounted from here on, and no more.
forget_mounts() { MOUNTS=() SOURCES=(); }

mount_input() {
  if [[ -p $1 ]]; then fail "A container cannot read the pipe $1. Use a file, or NIMAKIT_RUNTIME=native."; fi
  if [[ -f $1 || -d $1 ]]; then add_mount "$1" ro; fi
}

mount_output() {
  local folder=.
  if [[ $1 == */* ]]; then folder=${1%/*}; fi
  if [[ -d ${folder:-/} ]]; then add_mount "${folder:-/}" rw; fi
}

# A folder to write into, or the nearest folder above it that exists.
mount_folder() {
  local folder=$1
  while [[ ! -d $folder ]]; do
    case $folder in
      /*/*) folder=${folder%/*} ;;
      /*) folder=/ ;;
      */*) folder=${folder%/*} ;;
      *) folder=. ;;
    esac
  done
  add_mount "$folder" rw
}

# mount_options: mounts what the options name, by their KIND, and folders that are written into by default.
mount_options() {
  local i option
  for ((i = 0; i < ${#PAIRS[@]}; i += 2)); do mount_option "${PAIRS[i]}" "${PAIRS[i + 1]}"; done
  for option in "${!DEFAULT[@]}"; do
    if [[ -z ${GIVEN[$option]+given} ]]; then mount_option "$option" "${DEFAULT[$option]}"; fi
  done
}

mount_option() {
  case ${KIND[$1]:-} in
    input) mount_input "$2" ;;
    part) mount_input "${2#*=}" ;;
    model) mount_named_model "$2" ;;
    output) mount_output "$2" ;;
    folder) mount_folder "$2" ;;
  esac
}

# What a launcher mounts for an option of the kind model; some define it differently.
mount_named_model() { mount_model "$1"; }

# With what the job it lies in was trained on, so that a test on the same pictures says so.
mount_model_file() {
  mount_input "$1"
  mount_input "$(dirname -- "$1")/split.json"
}

# A model, where it is a file or an ensemble of files. An ensemble is often another person's, and may name any path: of
# its members only model files are mounted, by their own names and by those of what they lead to.
mount_model() {
  local member name suffix='\.[oO][nN][nN][xX]$'
  case $1 in
    *.[oO][nN][nN][xX]) mount_model_file "$1" ;;
    *.[jJ][sS][oO][nN])
      mount_input "$1"
      [[ -f $1 ]] || return 0
      require_jq "$1"
      while IFS= read -r -d '' member; do
        [[ $member == /* ]] || member=$(dirname -- "$1")/$member
        [[ -f $member ]] || continue
        name=$(realpath -- "$member")
        if [[ $member =~ $suffix && $name =~ $suffix ]]; then mount_model_file "$member"; fi
      done < <(jq -j '.members[]?.model? | strings | . + "\u0000"' -- "$1" 2>/dev/null)
      ;;
  esac
}

# The weights a config starts from: a file, by its own name and by that of what it leads to. A config is often another
# person's, and may name any path.
mount_weights() {
  local weights name suffix='\.(hdf5|h5|keras|pth|pt)$'
  [[ -f $1 ]] && read_text weights "$1" existing_weights && [[ -f $weights ]] || return 0
  name=$(realpath -- "$weights")
  if [[ $weights =~ $suffix && $name =~ $suffix ]]; then mount_input "$weights"; fi
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

# drop_covered_mounts: what lies in a folder that is mounted to be written to needs no mount of its own, and could not
# be replaced where it had one.
drop_covered_mounts() {
  local target kept=()
  for target in "${!MOUNTS[@]}"; do
    if ! is_covered "$target"; then kept+=("$target" "${MOUNTS[$target]}" "${SOURCES[$target]}"); fi
  done
  forget_mounts
  set -- "${kept[@]}"
  while (($#)); do
    MOUNTS[$1]=$2 SOURCES[$1]=$3
    shift 3
  done
}

is_covered() {
  local folder=${1%/*} rest=/${1##*/}
  while [[ -n $folder ]]; do
    if [[ ${MOUNTS[$folder]:-} == rw && ${SOURCES[$folder]}$rest == "${SOURCES[$1]}" ]]; then return 0; fi
    rest=/${folder##*/}$rest folder=${folder%/*}
  done
  return 1
}

is_system_folder() {
  case $1 in
    / | /bin | /dev | /etc | /lib | /lib64 | /opt | /opt/nimakit* | /proc | /run | /sbin | /sys | /usr | /usr/bin | /usr/lib | /usr/local | /usr/local/*) return 0 ;;
  esac
  return 1
}

# --- running -------------------------------------------------------------------------------------------

# run_container IMAGE ENTRYPOINT ARGUMENT...: in place of this shell, without a network, gone when it ends.
run_container() {
  set_run "$@"
  exec docker run --rm --network none "${RUN[@]}"
}

# set_run IMAGE ENTRYPOINT ARGUMENT...: RUN is what any `docker run` of ours ends in: as the calling user, without
# capabilities, the root read-only, with the mounts, and with a cache where one can be had. A server needs none, and gets none:
# strangers talk to it.
set_run() {
  local image=$1 entrypoint=$2 target mount cache group
  RUN=(--cap-drop ALL --security-opt no-new-privileges --pids-limit 4096)
  RUN+=(--init --read-only --tmpfs /run/nimakit:mode=1777 --user "$(id -u):$(id -g)")
  RUN+=(--env HOME=/run/nimakit --env TMPDIR=/run/nimakit --workdir "$PWD")
  cache=${NIMAKIT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/nimakit}
  if [[ $entrypoint != serve && $entrypoint != rate ]] && mkdir -p -- "$cache" 2>/dev/null && [[ -w $cache ]]; then
    add_mount "$cache" rw
    RUN+=(--env "NIMAKIT_CACHE=$cache" --env "KERAS_HOME=$cache/keras")
  fi
  for group in $(id -G); do RUN+=(--group-add "$group"); done
  if [[ $image == *gpu* ]]; then RUN+=(--gpus all); fi
  for target in "${!MOUNTS[@]}"; do
    mount="type=bind,$(csv_field "source=${SOURCES[$target]}"),$(csv_field "target=$target")"
    if [[ ${MOUNTS[$target]} == ro ]]; then mount+=,readonly; fi
    RUN+=(--mount "$mount")
  done
  RUN+=(--entrypoint "/opt/nimakit/entrypoints/$entrypoint" "$image" "${@:3}")
}

csv_field() { printf '"%s"' "${1//\"/\"\"}"; }

# --- addresses -----------------------------------------------------------------------------------------

# reached_at HOST PORT: HOST:PORT to open what is published there; for all addresses, by this machine's own in its
# network. The container is told, because all it knows is its own.
reached_at() {
  local host=$1
  case $host in 0.0.0.0 | :: | '[::]') host=$(own_address) ;; esac
  if [[ $host == *:* && $host != \[* ]]; then host="[$host]"; fi
  printf '%s:%s' "$host" "$2"
}

# The way to an address reserved for documentation is the way to any other machine; asking for it sends nothing.
own_address() {
  local found
  found=$(ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p') || found=
  if [[ -z $found ]]; then found=$(ipconfig getifaddr en0 2>/dev/null) || found=; fi # macOS
  printf '%s' "${found:-127.0.0.1}"
}
