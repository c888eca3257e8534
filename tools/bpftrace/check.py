#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""TAP: do the scripts for bpftrace run, and say what has happened?

usage: check.py BUILD-FOLDER

Runs where the module is loaded. Each script watches a process that does what the
script is about. Skipped if there is no bpftrace, or if it cannot work here.
"""

import concurrent.futures
import ctypes
import os
import re
import shutil
import subprocess
import sys
import threading
import time

BUILD = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
FOREVER = ctypes.c_uint64(0xffffffffffffffff)
NOW = ctypes.c_uint64(0)
OVERWRITE = 0x2
number = 0
failures = 0


def result(name, *checks):
    """A test that passes if all of these are true; each is (what, bool)."""
    global number, failures
    number += 1
    bad = [what for what, ok in checks if not ok]
    print(f"{'not ok' if bad else 'ok'} {number} - bpftrace: {name}",
          flush=True)
    for what in bad:
        print("# " + str(what).replace("\n", "\n# "))
    failures += bool(bad)


def has(pattern, text):
    return f"no {pattern} in:\n{text}", re.search(pattern, text, re.M)


def fd_id(fd):
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as f:
        return re.search(r"^mbuf-id:\s*(\w+)", f.read(), re.M)[1]


def work():
    """What is watched. Says what the queues are."""
    lib = ctypes.CDLL(os.path.join(BUILD, "lib", "libmbuf.so"))
    # There may be others who do the same.
    name = f"mbuf-{os.getpid()}"
    ctypes.CDLL(None).prctl(15, name.encode("ascii"), 0, 0, 0)
    print("WORK name", name, flush=True)
    session = lib.mbuf_open()
    recv, send = ctypes.c_int(), ctypes.c_int()
    room = ctypes.create_string_buffer(64)
    assert not lib.mbuf_queue_create(session, 2, 64, 0, ctypes.byref(recv),
                                     ctypes.byref(send))
    print("WORK queue", fd_id(recv.value), flush=True)
    for _ in range(20):
        assert not lib.mbuf_send(send, b"hello", 5, NOW)
        assert lib.mbuf_recv(recv, room, 64, NOW) == 5
    # One that waits for a message, and is woken by this thread.
    waiter = threading.Thread(target=lambda: lib.mbuf_recv(recv, room, 64,
                                                           FOREVER))
    waiter.start()
    while True:
        with open(f"/proc/self/fdinfo/{recv.value}", encoding="ascii") as f:
            if re.search(r"^mbuf-recv-waiters:\s*1$", f.read(), re.M):
                break
        time.sleep(0.001)
    assert not lib.mbuf_send(send, b"hello", 5, NOW)
    waiter.join()
    # Some that are overwritten, and the rest dies with the queue.
    assert not lib.mbuf_queue_create(session, 2, 64, OVERWRITE,
                                     ctypes.byref(recv), ctypes.byref(send))
    print("WORK drops", fd_id(recv.value), flush=True)
    for _ in range(5):
        assert not lib.mbuf_send(send, b"hello", 5, NOW)
    os.close(recv.value)


def watch(script):
    """What the script prints of the work: text, and the ids by name."""
    done = subprocess.run(
        ["bpftrace", "-c", f"{sys.executable} {__file__} {BUILD} --work",
         os.path.join(HERE, script)], text=True, capture_output=True,
        timeout=200, check=False)
    ids = dict(re.findall(r"WORK (\w+) (\S+)", done.stdout))
    text = done.stdout + done.stderr
    return text, {"queue": "none", "drops": "none", "name": "none", **ids}, \
        done.returncode


def why_not():
    """Why bpftrace cannot work here, or None."""
    probe = subprocess.run(["bpftrace", "-e", "BEGIN { exit(); }"], text=True,
                           capture_output=True, timeout=100, check=False)
    return "bpftrace does not work here: " + \
        " ".join(probe.stderr.split())[:200] if probe.returncode else None


def check_latency(text, ids):
    seen = re.search(rf"^queue (\d+) is {ids['queue']}$", text, re.M)
    histogram = re.search(
        rf"^@us\[{seen[1] if seen else 'x'}\]:.*\n((?:[\[(].*\n)+)", text, re.M)
    counts = re.findall(r"[)\]]\s+(\d+) \|", histogram[1]) \
        if histogram else []
    return [("the queue, and a histogram of its 21 messages: " + text,
             sum(map(int, counts)) == 21)]


def check_blocks(text, ids):
    return [has(rf"^\d+ +\S+ +receive +{ids['queue']} \S+$", text),
            has(rf"^@us\[{ids['name']}, {ids['name']}\]: count 1, "
                r"average \d+, total \d+$", text)]


def check_drops(text, ids):
    return [has(rf"^{ids['drops']} 1 +overwritten +\d+ +\S+$", text),
            has(rf"^{ids['drops']} 2 +dead +\d+ +\S+$", text),
            has(rf"^@dropped\[{ids['name']}\]: 5$", text)]


CHECKS = {"mbuf-blocks.bt": check_blocks, "mbuf-drops.bt": check_drops,
          "mbuf-latency.bt": check_latency}


def main():
    print("TAP version 13")
    scripts = sorted(f for f in os.listdir(HERE) if f.endswith(".bt"))
    reason = None if shutil.which("bpftrace") else \
        "there is no bpftrace: install it"
    seen = []
    if not reason:
        # Most of the time it takes is that of starting.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            seen = list(pool.map(watch, scripts))
        if any(rc for _, _, rc in seen):
            reason = why_not()
    for i, script in enumerate(scripts):
        if reason:
            result(f"{script} # SKIP {reason}")
            continue
        text, ids, rc = seen[i]
        result(script, (f"status {rc}:\n{text}", rc == 0),
               *CHECKS[script](text, ids))
    print(f"1..{number}")
    sys.exit(1 if failures else 0)


if "--work" in sys.argv:
    work()
else:
    main()
