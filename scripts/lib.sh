# Shared by the scripts in this folder: where things are, and how progress is told. Source it, don't run it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/.build
VENV=$BUILD/venv
VENV_MCP1=$BUILD/venv-mcp1
VENV_BENCH=$BUILD/venv-bench
VENV_SSLYZE=$BUILD/venv-sslyze
export PATH=$PATH:/usr/sbin:/sbin
export PYTHONDONTWRITEBYTECODE=1

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'; else BOLD= DIM= RED= GREEN= PLAIN=; fi

step() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*"; }
note() { printf '    %s%s%s\n' "$DIM" "$*" "$PLAIN"; }
good() { printf '%s==>%s %s\n' "$GREEN" "$PLAIN" "$*"; }
fail() { printf '%s==> %s%s\n' "$RED" "$*" "$PLAIN" >&2; exit 1; }

# Path of the built executable for a configuration (debug or release).
binary() { printf '%s/%s/coatcheck' "$BUILD" "$1"; }

# Builds the executable: `build debug` or `build release` (the latter with the Swift runtime inside).
build() {
  local flags=()
  [[ $1 == release ]] && flags=(--static-swift-stdlib)
  ${SWIFT:-swift} build --package-path "$ROOT" --configuration "$1" --product coatcheck ${flags[@]+"${flags[@]}"} || fail "the build failed"
}
