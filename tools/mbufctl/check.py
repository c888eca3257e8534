#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""TAP: does mbufctl do what its manual says? Runs where the module is loaded.

usage: check.py BUILD-FOLDER [--no-module]
       check.py --manual

With --no-module the module is not loaded. --manual needs no guest: is the manual
page well formed, and has it all commands and options?

What it prints is held against what is known of the objects that are made here;
ids, which are never the same, are replaced by names before. `top` runs on a
terminal of our own.
"""

import ctypes
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

BUILD = sys.argv[1]
CTL = os.path.join(BUILD, "tools", "mbufctl")
lib = None
number = 0
failures = 0


def test(name, *checks):
    """A test that passes if all of these are true; each is (what, bool)."""
    global number, failures
    number += 1
    bad = [what for what, ok in checks if not ok]
    print(f"{'not ok' if bad else 'ok'} {number} - mbufctl: {name}",
          flush=True)
    for what in bad:
        print("# " + str(what).replace("\n", "\n# "))
    failures += bool(bad)


def equal(want, got):
    return f"expected:\n{want}\ngot:\n{got}", want == got


def has(pattern, text):
    return f"no {pattern} in:\n{text}", re.search(pattern, text, re.M)


def run(*args, stdin="", env=None, user=None, timeout=60):
    """Output, errors and exit status."""
    done = subprocess.run([CTL, *args], input=stdin, text=True, user=user,
                          group=user, extra_groups=[] if user else None,
                          capture_output=True, timeout=timeout, check=False,
                          env=dict(os.environ, **(env or {})))
    return done.stdout, done.stderr, done.returncode


def one_line(errors):
    return f"not one line: {errors!r}", \
        re.fullmatch(r"mbufctl: [^\n]+\n", errors)


class Objects:
    """A session, a queue, a channel and a listener of this process."""

    def __init__(self, name=b"a name\xff"):
        self.session = lib.mbuf_open()
        self.recv, self.send = ctypes.c_int(), ctypes.c_int()
        self.end = (ctypes.c_int * 2)()
        assert self.session >= 0
        assert not lib.mbuf_queue_create(self.session, 4, 64, 0,
                                         ctypes.byref(self.recv),
                                         ctypes.byref(self.send))
        assert not lib.mbuf_channel_create(self.session, 0, self.end)
        self.listener = lib.mbuf_listen(self.session, name, len(name), 0o777,
                                        3)
        assert self.listener >= 0

    def put(self, text):
        return lib.mbuf_send(self.send, text, len(text),
                             ctypes.c_uint64(0))

    def close(self):
        for fd in (self.session, self.recv.value, self.send.value,
                   self.end[0], self.end[1], self.listener):
            os.close(fd)


def fd_id(fd):
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as f:
        return re.search(r"^mbuf-id:\s*(\w+)", f.read(), re.M)[1]


def golden(text, names):
    for name, value in names.items():
        text = text.replace(value, name)
    return re.sub(r" +", " ", text)


def check_ls(o, names):
    me = str(os.getpid())
    out, err, rc = run("-p", me, "ls")
    lines = sorted(golden(out, names).splitlines()[1:])
    test("ls", equal(0, rc), equal("", err), equal(sorted([
        f"session SESSION 0 {me} 0 handles",
        f"queue QUEUE 0 {me} 1/4 messages, 1 send, 1 receive, 0+0 wait",
        f"endpoint END0 0 {me} to END1, 0 signals",
        f"endpoint END1 0 {me} to END0, 0 signals",
        f"listener LISTENER 0 {me} a\\x20name\\xff, 0/3 pending",
    ]), lines))
    out, _, rc = run("-p", me, "--json", "ls")
    objects = [json.loads(line) for line in out.splitlines()]
    queue = [x for x in objects if x["type"] == "queue"]
    test("ls --json", equal(0, rc), equal(5, len(objects)),
         equal(1, len(queue)), equal(names["QUEUE"], queue[0]["id"]),
         equal(1, queue[0]["depth"]), equal(64, queue[0]["max-msg"]))
    out, _, _ = run("-t", "queue", "-i", names["QUEUE"], "ls")
    test("ls with filters", equal(2, len(out.splitlines())))
    out, _, _ = run("-p", me, "-n", "2", "--json", "ls")
    test("ls -n", equal(2, len(out.splitlines())))
    out, _, _ = run("ls", env={"COLUMNS": "20"})
    test("a table that goes to no terminal is not cut and has no colours",
         has("messages", out), ("colours", "\033" not in out))


def check_show(o, names):
    out, err, rc = run("show", names["QUEUE"])
    pid = os.getpid()
    test("show", equal(0, rc), equal("", err),
         has(r"^type +queue$", out), has(r"^slots +4$", out),
         has(rf"^made by +user 0, process {pid}$", out),
         has(rf"^held by .*\(process {pid}, descriptor {o.recv.value}\), "
             "to recv$", out),
         has(rf"descriptor {o.send.value}\), to send$", out))
    out, _, rc = run("--json", "show", names["QUEUE"])
    shown = json.loads(out)
    test("show --json", equal(0, rc),
         equal([("recv", o.recv.value), ("send", o.send.value)],
               sorted((h["right"], h["fd"]) for h in shown["holders"])))
    _, err, rc = run("show", "1")
    test("show of what is not there", equal(5, rc), one_line(err))
    _, err, rc = run("show", names["QUEUE"], user=65534)
    test("show of what is not one's own", equal(5, rc), one_line(err))


def check_stat():
    out, _, rc = run("--json", "stat")
    s = json.loads(out)
    out, _, _ = run("stat")
    test("stat", equal(0, rc), equal((1, 1, 2, 1), (
        s["session"], s["queue"], s["endpoint"], s["listener"])),
        equal(1, s["messages"]), has(r"^queue +1$", out))


def check_pass(o, names):
    out, err, rc = run("recv", names["QUEUE"])
    test("recv", equal(0, rc), equal("", err), equal("hello\n", out))
    _, err, rc = run("--timeout", "5ms", "recv", names["QUEUE"])
    test("recv with a timeout", equal(6, rc), one_line(err))
    _, err, rc = run("send", names["QUEUE"], stdin="one\ntwo\nthree\n")
    out, _, rc2 = run("-n", "2", "recv", names["QUEUE"])
    test("send and recv of several", equal((0, 0), (rc, rc2)),
         equal("one\ntwo\n", out), equal("", err))
    _, err, rc = run("flush", names["QUEUE"])
    _, _, rc2 = run("--timeout", "0", "recv", names["QUEUE"])
    test("flush", equal(0, rc), equal("", err), equal(6, rc2))
    _, err, rc = run("flush", names["END0"])
    test("flush of what is no queue", equal(1, rc), one_line(err))
    _, err, rc = run("send", names["QUEUE"], stdin="x\n", user=65534)
    test("send to what is not one's own", equal(5, rc), one_line(err))
    o.put(b"hello")


def check_watch():
    with subprocess.Popen([CTL, "--json", "-n", "4", "--timeout", "30s",
                           "watch"], stdout=subprocess.PIPE,
                          text=True) as p:
        listening = False
        for _ in range(1000):
            # It listens when it sleeps.
            with open(f"/proc/{p.pid}/wchan", encoding="ascii") as f:
                listening = "poll" in f.read()
            if listening:
                break
            time.sleep(0.02)
        other = Objects(b"other")
        other.close()
        out = p.communicate()[0]
    told = [json.loads(line) for line in out.splitlines()]
    test("watch", ("does not listen", listening),
         equal(["created"] * 4, [n["notice"] for n in told]),
         equal(["session", "queue", "endpoint", "endpoint"],
               [n["type"] for n in told]),
         equal(list(range(told[0]["number"], told[0]["number"] + 4)),
               [n["number"] for n in told]) if told else ("nothing", False))
    out, err, rc = run("--timeout", "10ms", "watch")
    test("watch with a timeout", equal((0, "", ""), (rc, out, err)))
    _, err, rc = run("watch", user=65534)
    test("watch without permission", equal(4, rc), one_line(err))


def check_quota():
    out, err, rc = run("--json", "-u", "0", "quota")
    q = json.loads(out)
    test("quota", equal(0, rc), equal("", err), equal(0, q["uid"]),
         ("objects", q["objects"] >= 5), equal(False, q["own-limits"]))
    _, err, rc = run("-u", "1234", "quota", "set", "objects=7", "memory=1M")
    out, _, _ = run("--json", "-u", "1234", "quota")
    q = json.loads(out)
    test("quota set", equal((0, ""), (rc, err)),
         equal((7, 1 << 20), (q["objects-limit"], q["memory-limit"])))
    run("-u", "1234", "quota", "set", "objects=0", "memory=0")
    out, _, _ = run("--json", "-u", "1234", "quota")
    test("quota set 0", equal("", out))
    _, err, rc = run("-u", "1234", "quota", "set", "objects=7", user=65534)
    test("quota set without permission", equal(4, rc), one_line(err))
    for wrong in ("objects", "objects=", "objects=x", "objects=1Q",
                  "things=1", "objects=-1", "objects=99999999T"):
        _, err, rc = run("quota", "set", wrong)
        test(f"quota set {wrong}", equal(2, rc), one_line(err))


def check_graph(names):
    out, err, rc = run("graph")
    pid = os.getpid()
    out = golden(out, names)
    test("graph", equal(0, rc), equal("", err),
         has(r"\Adigraph mbuf \{$", out), has(r"^\}\n\Z", out), has(r"a\\\\x20name", out),
         has(rf"^\s*p{pid} -> oQUEUE;$", out),
         has(rf"^\s*oQUEUE -> p{pid};$", out),
         has(r"^\s*oEND\d -> oEND\d \[dir=both\];$", out))


class Message(ctypes.Structure):
    """struct mbuf_message_create; nobody is told."""
    _fields_ = [("target", ctypes.c_uint64), ("handle", ctypes.c_uint64),
                ("max_msg", ctypes.c_uint32), ("max_caps", ctypes.c_uint32),
                ("inbox_msg", ctypes.c_uint32),
                ("inbox_caps", ctypes.c_uint32), ("flags", ctypes.c_uint64),
                ("sent_fd", ctypes.c_int64), ("sent_handle", ctypes.c_uint64),
                ("arrived_fd", ctypes.c_int64),
                ("arrived_handle", ctypes.c_uint64), ("id", ctypes.c_uint64)]


def check_handles(o, names, table, message):
    """Those of check_kinds(), a send right, and one that was revoked."""
    me = str(os.getpid())
    send, copy = ctypes.c_uint64(9), ctypes.c_uint64(5)
    assert not lib.mbuf_handle_put(o.session, o.send, ctypes.c_uint64(0), 0,
                                   ctypes.byref(send))
    assert not lib.mbuf_handle_copy(o.session, send, ctypes.c_uint64(0), 0,
                                    ctypes.byref(copy))
    out, err, rc = run("-p", me, "-i", names["QUEUE"], "ls", "handles")
    test("ls handles of an object", equal((0, ""), (rc, err)), equal([
        f"session SESSION 0 {me} 5 file QUEUE send,copy,pass,open",
        f"session SESSION 0 {me} 9 file QUEUE send,copy,pass,open",
    ], golden(out, names).splitlines()[1:]))
    out, err, rc = run("show", names["QUEUE"])
    test("show of who has it by handle", equal((0, ""), (rc, err)),
         has(rf"^held by +session SESSION \(process {me}, handle 9\), "
             "file: send,copy,pass,open$", golden(out, names)))
    out, _, rc = run("--json", "show", names["QUEUE"])
    test("show --json of it", equal(0, rc),
         equal([5, 9], [h["index"] for h in
                        json.loads(out)["handle-holders"]]))
    out, err, rc = run("graph")
    out = golden(out, names)
    test("graph of who has what by handle", equal((0, ""), (rc, err)),
         equal(1, len(re.findall(r'^\toSESSION -> oQUEUE \[style=dashed, '
                                 r'label="file"\];$', out, re.M))),
         has(r'^\toTABLE -> oKEY \[style=dashed, label="key"\];$', out),
         has(r"^\}\n\Z", out))
    assert lib.mbuf_handle_revoke(o.session, send) == 1
    out, err, rc = run("--holder", names["SESSION"], "ls", "handles")
    test("ls handles of a session", equal((0, ""), (rc, err)), equal(sorted([
        f"session SESSION 0 {me} {table} table TABLE "
        "copy,pass,lookup,modify",
        f"session SESSION 0 {me} {message} message MESSAGE recv",
        f"session SESSION 0 {me} 5 revoked - -",
        f"session SESSION 0 {me} 9 file QUEUE send,copy,pass,open",
    ]), sorted(golden(out, names).splitlines()[1:])))
    out, _, rc = run("--json", "--holder", names["TABLE"], "ls", "handles")
    got = json.loads(out)
    test("ls handles --json", equal(0, rc), equal(
        {"holder-type": "table", "holder-id": names["TABLE"],
         "table-id": names["TABLE"], "uid": 0, "pid": int(me), "index": 1,
         "type": "key", "rights": ["copy", "pass", "seal", "unseal"],
         "object-id": names["KEY"]},
        {k: v for k, v in got.items() if k != "netns"}))
    out, _, rc = run("-n", "2", "--json", "ls", "handles")
    test("ls handles -n", equal((0, 2), (rc, len(out.splitlines()))))
    out, err, rc = run("--json", "ls", "handles", user=65534)
    test("ls handles of others", equal((0, "", ""), (rc, err, out)))
    for wrong in ("-t queue ls handles", "ls objects", "--holder 1 ls",
                  "--holder x ls handles"):
        _, err, rc = run(*wrong.split())
        test(f"{wrong} is refused", equal(2, rc), one_line(err))
    for handle in (send, copy):
        assert not lib.mbuf_handle_delete(o.session, handle)


def check_kinds(o, names):
    """Objects that are no descriptors: in line at the queue, in a table."""
    me = str(os.getpid())
    table, key = ctypes.c_uint64(0), ctypes.c_uint64(0)
    no_fd = 0xffffffff
    m = Message(max_msg=16, sent_fd=no_fd, arrived_fd=no_fd)
    assert not lib.mbuf_table_create(o.session, ctypes.c_uint64(0),
                                     ctypes.byref(table))
    assert not lib.mbuf_key_create(o.session, table, ctypes.byref(key))
    assert not lib.mbuf_message_create(o.session, ctypes.byref(m))
    while not o.put(b"full"):
        pass
    assert not lib.mbuf_message_load(o.session, ctypes.c_uint64(m.handle),
                                     b"hello", 5, None, 0)
    assert lib.mbuf_message_enqueue(o.session, ctypes.c_uint64(m.handle),
                                    o.send) == 1
    out, _, _ = run("-p", me, "--json", "ls")
    objects = {x["type"]: x for x in map(json.loads, out.splitlines())}
    message = f"{m.id:016x}"
    names = dict(names, MESSAGE=message, TABLE=objects["table"]["id"],
                 KEY=objects["key"]["id"],
                 ROOT=objects["session"]["table-id"])
    out, err, rc = run("-p", me, "ls")
    out = golden(out, names)
    test("ls of what has no descriptor", equal((0, ""), (rc, err)),
         has(f"^session SESSION 0 {me} 2 handles$", out),
         has(f"^table TABLE 0 {me} 1 handles, in ROOT$", out),
         has(f"^key KEY 0 {me} 1 handles, 0 sealed with it$", out),
         has(f"^message MESSAGE 0 {me} parked, 0 delivered, at QUEUE, "
             "5 bytes, 0 capabilities$", out))
    test("ls --json of them", equal("parked", objects["message"]["state"]),
         equal(names["QUEUE"], objects["message"]["dest-id"]))
    out, err, rc = run("show", message)
    test("show of a message object", equal((0, ""), (rc, err)),
         has(r"^state +parked$", out),
         has(f"^dest-id +{names['QUEUE']}$", out))
    out, err, rc = run("graph")
    out = golden(out, names)
    test("graph of who waits for what", equal((0, ""), (rc, err)),
         has(r'^\s*oMESSAGE -> oQUEUE \[label="parked", color=red\];$', out),
         has(r"^\s*oSESSION -> oTABLE \[style=dashed, arrowhead=none\];$",
             out),
         has(rf"^\s*p{me} -> oSESSION \[dir=none\];$", out))
    check_handles(o, names, table.value, m.handle)
    out, _, _ = run("--json", "stat")
    s = json.loads(out)
    test("stat of them", equal((1, 1, 1, 3, 1), (
        s["table"], s["key"], s["message"], s["handles"], s["parked"])))
    for handle in (m.handle, table.value):
        assert not lib.mbuf_handle_delete(o.session, ctypes.c_uint64(handle))
    run("flush", names["QUEUE"])
    o.put(b"hello")


def check_measure(o, names):
    queue = names["QUEUE"]
    _, err, rc = run("stat", "--latency")
    test("stat --latency of none", equal(5, rc), one_line(err))
    _, err, rc = run("measure", queue)
    test("measure", equal((0, ""), (rc, err)))
    run("flush", queue)
    for _ in range(10):
        o.put(b"x")
        run("recv", queue)
    out, err, rc = run("stat", "--latency")
    test("stat --latency", equal((0, ""), (rc, err)),
         has(rf"^queue {queue}, 10 messages, mean \S+, p50 \S+, p90 \S+, "
             r"p99 \S+, p99.9 \S+, longest \S+$", out),
         has(r"^ +\S+ - \S+ +\d+  #+\.*$", out))
    out, _, rc = run("--json", "stat", "--latency")
    s = json.loads(out)
    test("stat --latency --json", equal(0, rc), equal(queue, s["id"]),
         equal((10, 10), (s["messages"], sum(b["messages"] for b in
                                             s["buckets"]))),
         ("order", 0 < s["p50-ns"] <= s["p99-ns"] <= s["longest-ns"] <=
          s["total-ns"]),
         ("buckets", all(b["from-ns"] <= s["longest-ns"]
                         for b in s["buckets"])))
    _, err, rc = run("measure", queue, "off")
    _, _, rc2 = run("stat", "--latency")
    test("measure off", equal((0, ""), (rc, err)), equal(5, rc2))
    _, err, rc = run("measure", names["END0"])
    test("measure of what is no queue", equal(1, rc), one_line(err))
    _, err, rc = run("measure", queue, user=65534)
    test("measure of what is not one's own", equal(5, rc), one_line(err))
    o.put(b"hello")


def check_svg():
    with tempfile.TemporaryDirectory() as folder:
        svg = os.path.join(folder, "a.svg")
        nothing = {"PATH": folder}
        _, err, rc = run("graph", "--svg", svg, env=nothing)
        test("graph --svg without dot", equal(1, rc), one_line(err),
             has("install graphviz", err),
             ("nothing is left", not os.path.exists(svg)))
        # In its place, something that shows what it gets.
        dot = os.path.join(folder, "dot")
        with open(dot, "w", encoding="ascii") as f:
            f.write('#!/bin/sh\necho "$@"\nexec /bin/cat\n')
        os.chmod(dot, 0o755)
        out, err, rc = run("graph", "--svg", svg, env=nothing)
        with open(svg, encoding="utf-8") as f:
            text = f.read()
        test("graph --svg", equal((0, "", ""), (rc, out, err)),
             has(r"\A-Tsvg\ndigraph mbuf \{\n", text), has(r"\}\n\Z", text))
        with open(dot, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexit 1\n")
        _, err, rc = run("graph", "--svg", svg, env=nothing)
        test("graph --svg, and dot fails", equal(1, rc), one_line(err),
             ("nothing is left", not os.path.exists(svg)))
        _, err, rc = run("graph", "--svg", folder + "/no/such")
        test("graph --svg to nowhere", equal(1, rc), one_line(err))
        if not shutil.which("dot"):
            test("graph --svg by dot # SKIP there is no dot: install graphviz")
            return
        # Which looks at all fonts first: that takes long where it is emulated.
        _, err, rc = run("graph", "--svg", svg, timeout=240)
        with open(svg, encoding="utf-8") as f:
            text = f.read()
        test("graph --svg by dot", equal((0, ""), (rc, err)),
             has("<svg", text), has("</svg>", text), has("queue", text))


def check_doctor():
    out, err, rc = run("doctor")
    test("doctor, of what is in order", equal("", err), equal(0, rc),
         has("nothing is stuck", out))


def check_usage():
    out, err, rc = run("--help")
    test("--help", equal(0, rc), equal("", err), has(r"^usage: ", out))
    for args in (["no-such"], ["-t", "no-such", "ls"], ["-n", "0", "ls"],
                 ["-n", "x", "ls"], ["--timeout", "5parsecs", "ls"],
                 ["-i", "0", "ls"], ["-i", "xyz", "ls"], ["ls", "more"],
                 ["measure"], ["measure", "1", "on"], ["show"],
                 ["show", "-1"], ["-u", "-2", "ls"],
                 ["-p", "0", "ls"], ["--color", "red", "ls"],
                 ["--json", "top"], ["top"], ["--no-such", "ls"]):
        _, err, rc = run(*args)
        test("wrong: " + " ".join(args), equal(2, rc), one_line(err))
    _, err, rc = run("-a", "ls", user=65534)
    test("--all without permission", equal(4, rc), one_line(err))
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([CTL, "ls"], stdout=full, text=True,
                              stderr=subprocess.PIPE, check=False)
    test("output that cannot be written", equal(1, done.returncode),
         one_line(done.stderr))


def on_terminal(args, columns, lines, keys):
    """What a command shows on a terminal of that size."""
    pid, fd = pty.fork()
    if not pid:
        os.environ["TERM"] = "linux"
        os.environ.pop("COLUMNS", None)
        time.sleep(0.3)		# for the size to be set
        os.execv(CTL, [CTL, *args])
    fcntl.ioctl(fd, termios.TIOCSWINSZ,
                struct.pack("HHHH", lines, columns, 0, 0))
    text, end = b"", time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([fd], [], [], 0.2)[0]:
            if keys and b"TYPE" in text:
                os.write(fd, keys)
                keys = b""
            continue
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        if not more:
            break
        text += more
    else:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return text.decode("ascii", "replace"), status


def check_terminal(names):
    for columns in (100, 20):
        text, status = on_terminal(["top"], columns, 12, b"q")
        plain = re.sub(r"\x1b[^a-zA-Z]*[a-zA-Z]", "", text)
        test(f"top, {columns} columns", equal(0, status),
             has("mbufctl top", plain), has("queue", plain),
             (f"the id: {text!r}", columns < 60 or names["QUEUE"] in plain))
    text, status = on_terminal(["-n", "2", "top"], 80, 24, b"")
    test("top -n ends by itself", equal(0, status), has("TYPE", text))
    text, status = on_terminal(["ls"], 20, 24, b"")
    widths = {len(re.sub(r"\x1b\[\d*m", "", line))
              for line in text.replace("\r", "").splitlines()}
    test("ls on 20 columns", equal(0, status),
         (f"widths {widths}", max(widths) <= 20),
         has(r"\x1b\[1mTYPE", text))
    text, _ = on_terminal(["--color", "never", "ls"], 80, 24, b"")
    test("--color never", ("colours", "\x1b[" not in text))


def check_bench():
    out, err, rc = run("-n", "50", "bench")
    test("bench", equal((0, ""), (rc, err)), equal(2, len(out.splitlines())))


def check_manual():
    here = os.path.dirname(os.path.abspath(__file__))
    page = os.path.join(here, "../../Documentation/man/mbufctl.8")
    with open(page, encoding="ascii") as f:
        text = f.read()
    with open(os.path.join(here, "main.c"), encoding="ascii") as f:
        source = f.read()
    for name in re.findall(r'^\t\{ "(\w+)", cmd_', source, re.M):
        test(f"manual: {name}", has(rf"^\.It Cm {name}\b", text))
    for name in re.findall(r'^\t\t\{ "(\w+)", \w+_argument', source, re.M):
        test(f"manual: --{name}", has(rf"^\.It Fl .*\b{name}\b", text))
    try:
        done = subprocess.run(["mandoc", "-T", "lint", page], text=True,
                              capture_output=True, check=False)
    except FileNotFoundError:
        test("manual: lint # SKIP mandoc is not installed")
    else:
        # Which pages of others are installed here is not the page's fault.
        said = [line for line in done.stdout.splitlines()
                if "referenced manual not found" not in line]
        test("manual: lint", equal([], said))


def main():
    global lib
    print("TAP version 13")
    if "--manual" in sys.argv:
        check_manual()
    elif "--no-module" in sys.argv:
        _, err, rc = run("ls")
        test("no module", equal(3, rc), one_line(err))
        out, _, rc = run("doctor")
        test("doctor without the module", equal(3, rc),
             has("modprobe mbuf", out))
    else:
        lib = ctypes.CDLL(os.path.join(BUILD, "lib", "libmbuf.so"))
        o = Objects()
        o.put(b"hello")
        names = {"SESSION": fd_id(o.session), "QUEUE": fd_id(o.recv.value),
                 "END0": fd_id(o.end[0]), "END1": fd_id(o.end[1]),
                 "LISTENER": fd_id(o.listener)}
        check_ls(o, names)
        check_show(o, names)
        check_stat()
        check_pass(o, names)
        check_watch()
        check_quota()
        check_graph(names)
        check_kinds(o, names)
        check_measure(o, names)
        check_svg()
        check_doctor()
        check_usage()
        check_terminal(names)
        check_bench()
        o.close()
    print(f"1..{number}")
    sys.exit(1 if failures else 0)


main()
