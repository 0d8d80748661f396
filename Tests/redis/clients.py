"""Python's redis package against a cluster: basics, pipelines, times to live, scans. Run by Tests/steps/70-redis-clients."""

import os
import sys
import time

import redis

protocol = int(sys.argv[1])
ports = [int(text) for text in sys.argv[2:]]
nodes = [redis.Redis(port=port, protocol=protocol, socket_timeout=10) for port in ports]
first, second, third = nodes


def basics():
    assert first.ping()
    assert first.set("k", "v") is True
    assert second.get("k") == b"v"
    assert third.exists("k", "missing") == 1
    assert first.set("k", "w", nx=True) is None
    assert first.set("k", "w", xx=True, get=True) == b"v"
    assert first.getset("k", "x") == b"w"
    assert first.strlen("k") == 1 and first.type("k") == b"string"
    assert first.mset({"a": "1", "b": "2"}) is True
    assert second.mget("a", "missing", "b") == [b"1", None, b"2"]
    assert first.setnx("k", "y") is False
    assert first.delete("a", "b", "missing") == 2
    assert first.getdel("k") == b"x" and third.get("k") is None
    assert first.client_setname("tester") is True and first.client_getname() in ("tester", b"tester")
    assert isinstance(first.client_id(), int)
    assert "gyre_version" in first.info()
    assert first.config_get("appendonly") == {"appendonly": "yes"}
    assert first.command_count() > 30
    assert first.echo("x") == b"x"


def binary():
    key, value = bytes(range(256)), os.urandom(8 << 20)
    assert first.set(key, value) is True
    assert second.get(key) == value
    try:
        first.set(key, value + b"1")
        raise AssertionError("a value that is too long was taken")
    except redis.ResponseError as error:
        assert "TOOLARGE" in str(error), error
    assert first.get(key) == value
    assert first.delete(key) == 1


def pipelines():
    with first.pipeline(transaction=False) as pipe:
        for index in range(500):
            pipe.set(f"p{index}", index).get(f"p{index}")
        pipe.delete(*[f"p{index}" for index in range(0, 500, 2)])
        pipe.exists(*[f"p{index}" for index in range(500)])
        answers = pipe.execute()
    assert answers[0:1000:2] == [True] * 500
    assert answers[1:1000:2] == [str(index).encode() for index in range(500)]
    assert answers[1000:] == [250, 250]


def lives():
    assert first.set("t", "v", px=2000) is True
    assert 0 < second.pttl("t") <= 2000
    time.sleep(2.1)
    assert third.get("t") is None and third.ttl("t") == -2
    assert first.setex("t", 100, "v") is True and 90 <= second.ttl("t") <= 100
    assert first.persist("t") in (1, True) and second.ttl("t") == -1
    assert first.expire("t", 50) in (1, True) and 40 <= second.ttl("t") <= 50
    assert first.set("t", "w", keepttl=True) is True and 40 <= second.ttl("t") <= 50
    assert first.expire("t", 0) in (1, True) and second.get("t") is None


def scans():
    names = {f"scan:{index}".encode() for index in range(300)}
    with first.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.set(name, "v")
        pipe.execute()
    assert set(second.scan_iter(match="scan:*", count=50)) == names
    assert set(third.keys("scan:1?")) == {f"scan:1{index}".encode() for index in range(10)}
    other = redis.Redis(port=ports[0], db=5, protocol=protocol)
    assert other.dbsize() == 0
    other.set("only", "here")
    assert other.dbsize() == 1 and list(other.scan_iter()) == [b"only"]
    assert other.delete("only") == 1


def siblings():
    name = f"cart-{protocol}-{time.time()}"
    for value in ("apples", "pears"):
        first.execute_command("GYRE.PUT", "carts", name, value)
    context, both = second.execute_command("GYRE.GET", "carts", name)
    assert sorted(sibling[0] for sibling in both) == [b"apples", b"pears"]
    third.execute_command("GYRE.PUT", "carts", name, "both", context)
    _, left = first.execute_command("GYRE.GET", "carts", name)
    assert [sibling[0] for sibling in left] == [b"both"]


for part in (basics, binary, pipelines, lives, scans, siblings):
    begun = time.time()
    part()
    print(f"RESP{protocol} {part.__name__}: {time.time() - begun:.2f} s")
