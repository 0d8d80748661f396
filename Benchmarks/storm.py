"""Opens connections to a Redis-protocol server at a rate, says PING on each, waits for the answer and closes it.

    storm.py HOST:PORT PER_SECOND SECONDS

Prints how many came about. Connections that fail are counted, and the exit code is 1 when there was one.
"""

import socket
import sys
import threading
import time

THREADS = 4


def work(address, first, step, until, counts, lock):
    due = first
    while due < until:
        time.sleep(max(0, due - time.perf_counter()))
        due += step
        try:
            with socket.create_connection(address, timeout=2) as connection:
                connection.sendall(b"*1\r\n$4\r\nPING\r\n")
                is_fine = connection.recv(16).startswith(b"+PONG")
        except OSError:
            is_fine = False
        with lock:
            counts[is_fine] += 1


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    rate, seconds = float(sys.argv[2]), float(sys.argv[3])
    counts, lock, began = {True: 0, False: 0}, threading.Lock(), time.perf_counter()
    # The threads take turns, or each would come at the same moment as the others.
    starts = [began + turn / rate for turn in range(THREADS)]
    rest = (THREADS / rate, began + seconds, counts, lock)
    threads = [threading.Thread(target=work, args=((host, int(port)), start, *rest)) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    print(f"{counts[True] / took:.0f} connections/s, {counts[False]} failed")
    sys.exit(1 if counts[False] else 0)


main()
