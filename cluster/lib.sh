# shellcheck shell=bash
# What cluster/up, cluster/down and Tests/run share. Sourced, never run; needs bash and coreutils only.
#
# Overrides, all optional:
#   GYRE_BINARY        a ready gyre executable; nothing is installed or built then
#   GYRE_CLUSTER_HOME  where data/ and logs/ go (default: this directory)
#   GYRE_CLUSTER_PORT  where the first node listens (default: 7400; node i listens 10*(i-1) above it)

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cluster_home=${GYRE_CLUSTER_HOME:-$project_root/cluster}
first_port=${GYRE_CLUSTER_PORT:-7400}

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Puts `swift` in PATH: the one already there, else the usual place of a tarball.
find_swift() {
    command -v swift >/dev/null && return
    [[ -x /opt/swift/usr/bin/swift ]] || fail "no swift in PATH and none in /opt/swift/usr/bin; get 6.3 from https://swift.org/install"
    export PATH="/opt/swift/usr/bin:$PATH"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Installs the C libraries of Gyre that are missing; says so and asks nothing.
install_libraries() {
    local package missing=()
    for package in libleveldb-dev libxxhash-dev libyaml-dev; do
        dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]} (Debian packages that gyre is built with)"
    # A fresh machine has no package lists, an old one may have stale ones: either way one update cures it.
    apt_install "${missing[@]}" && return
    as_root apt-get update --quiet || fail "apt-get update failed; install ${missing[*]} by hand"
    apt_install "${missing[@]}" || fail "apt-get install failed; install ${missing[*]} by hand"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@" </dev/null
}

node_port() { echo $((first_port + 10 * ($1 - 1))); }
node_address() { echo "127.0.0.1:$(node_port "$1")"; }
# The HTTP interface of node $1, with its status page.
node_page() { echo "127.0.0.1:$(($(node_port "$1") + 1))"; }
resp_address() { echo "127.0.0.1:$(($(node_port "$1") + 2))"; }
node_data() { echo "$cluster_home/data/n$1"; }
node_log() { echo "$cluster_home/logs/n$1.log"; }
node_pid_file() { echo "$cluster_home/data/n$1.pid"; }

# The numbers of all nodes that have data or a pid file here, ascending.
known_nodes() {
    local path
    for path in "$cluster_home"/data/n[0-9]*; do
        path=${path##*/n}
        path=${path%.pid}
        [[ $path =~ ^[0-9]+$ ]] && echo "$path"
    done | sort --numeric-sort --unique
}

# Prints the pid of node $1 if it runs. The pid file alone proves nothing, because pids are used again: the
# process must be one that serves this very data directory; the binary may have any name.
running_pid() {
    local pid arguments=() index
    [[ -f $(node_pid_file "$1") ]] || return 1
    pid=$(<"$(node_pid_file "$1")")
    [[ $pid =~ ^[0-9]+$ && -r /proc/$pid/cmdline ]] || return 1
    mapfile -d '' -t arguments 2>/dev/null <"/proc/$pid/cmdline" || return 1
    # The second word when it is a binary, the third when a script stands in for one.
    [[ ${arguments[1]-} == serve || ${arguments[2]-} == serve ]] || return 1
    for index in "${!arguments[@]}"; do
        if [[ ${arguments[index]} == --data && ${arguments[index + 1]-} == "$(node_data "$1")" ]]; then
            echo "$pid"
            return 0
        fi
    done
    return 1
}
