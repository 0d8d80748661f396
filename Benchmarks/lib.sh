# shellcheck shell=bash
# What the comparisons share. Sourced from the project's root; sets `gyre` and `work`, and `pids` is what `stop_all` ends.

gyre=${GYRE_BINARY:-}
if [ -z "$gyre" ]; then
    echo "building gyre (release)" >&2
    swift build -c release --static-swift-stdlib --product gyre 2>&1 | tail -n 1 >&2
    gyre=$(swift build -c release --show-bin-path)/gyre
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/gyre-compare.XXXXXX")
pids=()
stop_all() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
}
trap 'stop_all; rm -rf "$work"' EXIT

# A port that nobody listens on.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
# number FILE NAME: the first number of that name in a JSON file.
number() { grep -o "\"$2\": *[0-9.]*" "$1" | head -n 1 | grep -o '[0-9.]*$'; }
median() { printf '%s\n' "$@" | sort -n | awk '{v[NR]=$1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

# start_nodes DIRECTORY [FLAGS ...]: three durable nodes; `%i` in a flag is the node's number, 0 to 2. Sets GYRE_NODES once all are healthy.
start_nodes() {
    local ports=() seeds=() i port directory=$1; shift
    for _ in 1 2 3; do ports+=("$(free_port)"); done
    for port in "${ports[@]}"; do seeds+=(--seed "127.0.0.1:$port"); done
    for i in 0 1 2; do
        "$gyre" serve --name "n$((i + 1))" --data "$work/$directory-n$((i + 1))" --listen "127.0.0.1:${ports[$i]}" \
            "${seeds[@]}" --durability always "${@//%i/$i}" >"$work/n$((i + 1)).out" 2>"$work/n$((i + 1)).log" &
        pids+=($!)
    done
    GYRE_NODES=$(IFS=,; echo "${ports[*]/#/127.0.0.1:}")
    export GYRE_NODES
    for _ in $(seq 200); do
        "$gyre" status --json 2>/dev/null | grep -q '"healthy":true.*"name":"n1".*"name":"n2".*"name":"n3"' && return
        sleep 0.1
    done
    echo "the nodes did not become healthy; their logs:" >&2
    cat "$work"/n?.log >&2
    exit 1
}
