# shellcheck shell=bash
# What the scripts share: where things are, what the set-up found, how progress is told. Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
binary() { # binary release|dev
    case $1 in release) echo "$target/release/seamless" ;; *) echo "$target/debug/seamless" ;; esac
}
set_up() { # set_up run|test
    scripts/setup "$1"
    # shellcheck disable=SC1091 # generated
    . "$target/setup/env"
}
step() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
