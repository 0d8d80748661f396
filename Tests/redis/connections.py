"""What idle connections to a node's Redis door cost.

    python3 Tests/redis/connections.py PORT PID [IDLE=9990]

Opens IDLE connections that each asked one PING and then say nothing, and prints the growth of the process's resident set over them.
Loopback only. What many new connections do to the others is measured by `Benchmarks/doors`.
"""

import resource
import socket
import sys
import time

port, pid = int(sys.argv[1]), int(sys.argv[2])
idle_count = int(sys.argv[3]) if len(sys.argv) > 3 else 9_990
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
