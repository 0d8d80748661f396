"""What connections to a node's Redis door cost: memory of idle ones, and what many new ones do to the others.

    python3 Tests/redis/connections.py PORT PID [IDLE=9990] [NEW_PER_SECOND=2000] [SECONDS=5]

Opens IDLE connections that each asked one PING and then say nothing, and prints the growth of the process's resident set over them.
Then measures PING on one connection without and with NEW_PER_SECOND connections opened and closed each second. Loopback only.
"""

import resource
import socket
import sys
import threading
import time

port, pid = int(sys.argv[1]), int(sys.argv[2])
idle_count = int(sys.argv[3]) if len(sys.argv) > 3 else 9_990
per_second = int(sys.argv[4]) if len(sys.argv) > 4 else 2_000
seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 5
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, idle_count + 4_096), hard))


def resident_kib():
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def connect():
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def ping(connection):
    connection.sendall(b"PING\r\n")
    assert connection.recv(64) == b"+PONG\r\n"


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(connection, span):
    took, end = [], time.perf_counter() + span
    while time.perf_counter() < end:
        begun = time.perf_counter()
        ping(connection)
        took.append((time.perf_counter() - begun) * 1e6)
        time.sleep(0.0005)
    return took


probe = connect()
ping(probe)
before = resident_kib()
idle = []
for _ in range(idle_count):
    connection = connect()
    ping(connection)
    idle.append(connection)
time.sleep(1)
after = resident_kib()
print(f"{idle_count} idle connections: {after - before} KiB more, {(after - before) / idle_count:.1f} KiB each")
for connection in idle:
    connection.close()
time.sleep(1)

quiet = measure(probe, seconds)
opened, stop = [0], threading.Event()


def open_many():
    begun = time.perf_counter()
    while not stop.is_set():
        due = int((time.perf_counter() - begun) * per_second)
        while opened[0] < due:
            connect().close()
            opened[0] += 1
        time.sleep(0.001)


thread = threading.Thread(target=open_many)
thread.start()
begun = time.perf_counter()
busy = measure(probe, seconds)
span = time.perf_counter() - begun
stop.set()
thread.join()
for name, values in (("alone", quiet), (f"beside {opened[0] / span:.0f} new connections/s", busy)):
    print(f"PING {name}: p50 {percentile(values, 0.5):.0f} us, p99 {percentile(values, 0.99):.0f} us, {len(values)} measured")
