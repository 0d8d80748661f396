# shellcheck shell=bash
# What Tests/steps/50 to 55 share: `torture WORDS…` runs the tool of that name on a release build
# of gyre. Sourced, never run.
#
#   GYRE_BINARY   a ready gyre executable; nothing is built in release then

set -euo pipefail
cd "${GYRE_ROOT:-$(dirname "${BASH_SOURCE[0]}")/..}"
export SWIFT_BACKTRACE=enable=no

torture() {
    # The tool may be slow, the nodes may not: their speed is part of what is promised.
    swift build --product gyre-torture
    if [[ -z ${GYRE_BINARY-} ]]; then
        swift build -c release --static-swift-stdlib --product gyre
        GYRE_BINARY=$(swift build -c release --static-swift-stdlib --product gyre --show-bin-path)/gyre
    fi
    export GYRE_BINARY
    "$(swift build --product gyre-torture --show-bin-path)/gyre-torture" "$@"
}
