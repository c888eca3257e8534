#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""TAP: do the manual pages and the code say the same?

usage: check.py [--programs] BUILD-FOLDER LIBMBUF-FOLDER

mbuf(4) against <linux/mbuf.h>: each call is described in one subsection, with its
struct as it is in the header and with each error that the header names; each
constant is named, and so are the parameters of the module, and in mbuf(7) its
tracepoints. mbuf_strerror() knows each of those errors. Section 3 against the
headers of the library and libmbuf.map: each function has one page, with the
prototype that it has. Pages refer to pages that exist. mandoc has nothing to
say. What "make install" installs is all of that, with a name for each function,
and "make uninstall" leaves nothing.

Examples are compiled as they are printed: those of sections 3, 4 and 7 are C,
each block is a file, and one that has a main() is a program. With --programs
these are left in BUILD-FOLDER/manual, and nothing else is looked at.
"""

import errno
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
UAPI = os.path.join(TOP, "uapi/linux/mbuf.h")
number = 0
failures = 0


def test(name, bad, skip=None):
    """A test that passes if nothing is said to be bad."""
    global number, failures
    number += 1
    print(f"{'not ok' if bad else 'ok'} {number} - manual: {name}"
          f"{f' # SKIP {skip}' if skip else ''}", flush=True)
    for line in bad:
        print("# " + str(line).replace("\n", "\n# "))
    failures += bool(bad)


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def words(text):
    """To compare code, whatever white space it has."""
    return " ".join(re.findall(r"\w+|[^\w\s]", text))


# ---- pages -------------------------------------------------------------------

# What characters are in a page that are printed as they are.
ESCAPES = {"\\-": "-", "\\e": "\\", "\\&": "", "\\(aq": "'", "\\(ga": "`",
           "\\(ha": "^", "\\(ti": "~", "\\(dq": '"'}


def plain(line):
    return re.sub(r"\\(?:\(..|.)",
                  lambda m: ESCAPES.get(m[0], m[0]), line)


def arguments(line):
    """The arguments of a macro."""
    return [plain(a) for a in shlex.split(line, posix=True)] \
        if '"' in line else [plain(a) for a in line.split()]


class Page:
    """A page, and what it is made of."""

    def __init__(self, path):
        self.path = path
        self.file = os.path.basename(path)
        self.name, self.section = self.file.rsplit(".", 1)
        self.lines = read(path).splitlines()
        self.names = [line.split()[1] for line in self.part("NAME")
                      if line.startswith(".Nm ")]

    def part(self, title, macro=".Sh"):
        """Lines of a section, or of a subsection."""
        inside, found = False, []
        for line in self.lines:
            if line.startswith(".Sh ") or line.startswith(macro + " "):
                inside = line == f"{macro} {title}"
            elif inside:
                found.append(line)
        return found

    def blocks(self, lines):
        """What stands in displays, as it is printed."""
        found, block = [], None
        for line in lines:
            if line.startswith(".Bd -literal"):
                block = []
            elif line == ".Ed" and block is not None:
                found.append("\n".join(block) + "\n")
                block = None
            elif block is not None:
                block.append(plain(line))
        return found

    def prototypes(self):
        """What SYNOPSIS says of functions."""
        found, kind, name, args = {}, "", None, []
        for line in self.part("SYNOPSIS"):
            macro, _, rest = line.partition(" ")
            if macro == ".Ft":
                kind = plain(rest)
            elif macro == ".Fn":
                name, *args = arguments(rest)
                found[name] = f"{kind} {name}({', '.join(args)})"
            elif macro == ".Fo":
                name, args = rest, []
            elif macro == ".Fa":
                args += arguments(rest)
            elif macro == ".Fc":
                found[name] = f"{kind} {name}({', '.join(args)})"
        return found


# ---- code --------------------------------------------------------------------

def prototypes(text):
    """Functions of a header, and which of them have documentation."""
    documented = set(re.findall(r"^/\*\*\n \* (\w+)\(\) - ", text, re.M))
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.M)
    found = {}
    for m in re.finditer(
            r"(?:MBUF_EXPORT|static inline)\s+([\w\s]+?[\s*]+)(mbuf_\w+)\s*"
            r"\(((?:[^()]|\([^()]*\))*)\)\s*[;{]", text):
        found[m[2]] = f"{m[1]} {m[2]}({m[3]})"
    return found, documented


def uapi_calls():
    """Commands: (name, struct, its definition, errors that are named)."""
    text = read(UAPI)
    for name, struct in re.findall(
            r"^#define (MBUF_IOC_\w+)\s+_IOWR\(MBUF_IOC_TYPE, 0x\w\w,[\s\\]*"
            r"struct (\w+)\)", text, re.M):
        m = re.search(r"/\*\*\n \* struct " + struct + r" - argument of "
                      r"((?:(?!\*/).)*)\*/\n(struct " + struct +
                      r" \{\n.*?\n\};)", text, re.S)
        if not m:
            yield name, struct, None, set()
            continue
        named = re.findall(r"\b(E[A-Z0-9]{2,})\b", m[1])
        yield name, struct, m[2], {e for e in named if hasattr(errno, e)}


# ---- checks ------------------------------------------------------------------

def check_calls(page):
    titles = [line[4:] for line in page.lines if line.startswith(".Ss ")]
    calls = list(uapi_calls())
    test("the calls of <linux/mbuf.h> are found",
         [] if len(calls) > 50 else [f"only {len(calls)}"])
    for name, struct, definition, named in calls:
        mine = [t for t in titles if name in t.split(", ")]
        if len(mine) != 1:
            test(name, [f"{len(mine)} subsections of {page.file} have its name"])
            continue
        part = page.part(mine[0], ".Ss")
        bad = []
        if not definition:
            bad.append(f"<linux/mbuf.h> does not describe struct {struct}")
        elif words(definition) not in [words(b) for b in page.blocks(part)]:
            bad.append(f"struct {struct} is not as in <linux/mbuf.h>:\n"
                       f"{definition}")
        said = set(re.findall(r"\bE[A-Z0-9]{2,}\b", "\n".join(part)))
        bad += [f"{e} is named by <linux/mbuf.h>, and not here"
                for e in sorted(named - said)]
        test(name, bad)
    known = {name for name, *_ in calls}
    test(f"{page.file} has no calls that are not there",
         sorted({n for t in titles for n in re.findall(r"MBUF_IOC_\w+", t)} -
                known))


def check_constants(page):
    code = re.sub(r"/\*.*?\*/", " ", read(UAPI), flags=re.S)
    names = re.findall(r"^(?:#define |\t)(MBUF_\w+)(?:\s+\S| = )", code, re.M)
    text = "\n".join(page.lines)
    test(f"{page.file} has every constant of <linux/mbuf.h>",
         [n for n in names if n != "MBUF_IOC_TYPE" and
          not re.search(rf"\b{n}\b", text)] +
         ([] if len(names) > 150 else [f"only {len(names)} are found"]))


def check_module(device, overview):
    """Parameters and tracepoints of the module have a name in the pages."""
    for page, source, pattern in (
            (device, "quota.c", r"^module_param_named\((\w+),"),
            (overview, "trace.h", r"^(?:TRACE|DEFINE)_EVENT\((?:\w+, )?"
                                  r"(mbuf_\w+),\n\tTP_PROTO")):
        names = re.findall(pattern, read(os.path.join(TOP, "module", source)),
                           re.M)
        text = "\n".join(page.lines)
        test(f"{page.file} has what is in module/{source}",
             [n for n in names if not re.search(rf"\b{n}\b", text)] +
             ([] if len(names) > 4 else [f"only {names} are found"]))


def check_texts():
    """mbuf_strerror() has a text for each error that a call can give."""
    named = set().union(*(c[3] for c in uapi_calls()))
    known = set(re.findall(r"\bcase -(E[A-Z0-9]+):",
                           read(os.path.join(TOP, "lib/strerror.c"))))
    test("mbuf_strerror() knows every error", sorted(named - known))


def check_functions(pages):
    symbols = re.findall(r"^\t(mbuf_\w+);$",
                         read(os.path.join(TOP, "lib/libmbuf.map")), re.M)
    code, documented, where = {}, set(), {}
    for path in sorted(glob.glob(os.path.join(TOP, "lib/include/*.h"))):
        found, some = prototypes(read(path))
        code.update(found)
        documented |= some
        where.update(dict.fromkeys(found, os.path.basename(path)))
    holders = {}
    for page in pages:
        for name in page.names:
            holders.setdefault(name, []).append(page.file)
    test("each exported function has one page",
         [f"{s}: {holders.get(s, 'none')}" for s in symbols
          if len(holders.get(s, [])) != 1] +
         ([] if len(symbols) > 100 else [f"{len(symbols)} in libmbuf.map"]))
    test("each inline function that is documented has one page",
         [f"{s}: {holders.get(s, 'none')}" for s in sorted(documented)
          if len(holders.get(s, [])) != 1])
    test("no name stands for two pages",
         [f"{n}: {f}" for n, f in holders.items()
          if len({x.rsplit('.', 1)[1] for x in f}) != len(f)])
    for page in pages:
        if page.section != "3":
            continue
        bad, said = [], page.prototypes()
        for name in page.names:
            if name == "libmbuf":
                continue
            if name not in code:
                bad.append(f"{name}() is in no header")
            elif name not in said:
                bad.append(f"{name}() is not in SYNOPSIS")
            elif words(said[name]) != words(code[name]):
                bad.append(f"SYNOPSIS: {said[name]}\n"
                           f"header: {words(code[name])}")
            elif f".In {where[name]}" not in page.part("SYNOPSIS"):
                bad.append(f"{name}() is in <{where[name]}>")
        bad += [f"{n}() is in SYNOPSIS, and not in NAME" for n in said
                if n not in page.names]
        test(f"{page.file}: prototypes", bad)


def check_references(pages):
    known = {(n, p.section) for p in pages for n in p.names}
    for page in pages:
        bad = []
        for line in page.lines:
            if not line.startswith("."):
                continue
            for name, section in re.findall(r"\bXr ([\w.-]+) (\d)", line):
                ours = re.match(r"(lib)?mbuf", name)
                if ours and (name, section) not in known:
                    bad.append(f"there is no {name}({section})")
        test(f"{page.file}: references", bad)


def check_examples(pages, work, libmbuf):
    os.makedirs(work, exist_ok=True)
    env = dict(os.environ, CPATH=f"{TOP}/lib/include:{TOP}/uapi",
               LIBRARY_PATH=libmbuf, LC_ALL="C")
    total = 0
    for page in pages:
        if page.section not in "347":
            continue
        bad = []
        blocks = page.blocks(page.part("EXAMPLES"))
        for i, block in enumerate(blocks, 1):
            stem = os.path.join(work, f"{page.file}-{i}")
            program = re.search(r"^int main\(", block, re.M)
            with open(stem + ".c", "w", encoding="ascii") as f:
                f.write(block)
            command = shlex.split(os.environ.get("CC", "cc"))
            command += ["-O2", "-Wall", "-Wextra", "-Werror", stem + ".c"]
            if program:
                # For a guest that has no libraries.
                command += ["-o", stem, "-static", "-pthread", "-lmbuf"]
            else:
                command += ["-c", "-o", stem + ".o"]
            done = subprocess.run(command, text=True, env=env, check=False,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            if done.returncode or done.stdout:
                bad.append(f"block {i}: {done.stdout}")
        total += len(blocks)
        if blocks:
            test(f"{page.file}: examples", bad)
    test("there are examples", [] if total > 20 else [f"only {total}"])


def check_lint(pages):
    for page in pages:
        try:
            done = subprocess.run(["mandoc", "-T", "lint", page.path],
                                  text=True, capture_output=True, check=False)
        except FileNotFoundError:
            test(f"{page.file}: lint", [], "mandoc is not installed")
            continue
        # Which pages of others are installed here is not the page's fault.
        test(f"{page.file}: lint",
             [line for line in done.stdout.splitlines()
              if "referenced manual not found" not in line])


def check_install(pages):
    """Also: is a name that is no page of its own a page that leads to it?"""
    with tempfile.TemporaryDirectory() as root:
        make = ["make", "-s", "-C", HERE, f"DESTDIR={root}", "prefix=/usr"]
        man = os.path.join(root, "usr/share/man")
        done = subprocess.run(make + ["install"], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        bad = [done.stdout] if done.returncode or done.stdout else []
        for page in pages:
            own = f"man{page.section}/{page.file}"
            for name in sorted({page.name, *page.names}):
                path = os.path.join(man, f"man{page.section}",
                                    f"{name}.{page.section}")
                want = read(page.path) if name == page.name else f".so {own}\n"
                if not os.path.exists(path):
                    bad.append(f"{path} is not there")
                elif read(path) != want:
                    bad.append(f"{path} is not what it should be")
        test("make install", bad)
        done = subprocess.run(make + ["uninstall"], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        left = [os.path.join(d, f) for d, _, files in os.walk(root)
                for f in files]
        test("make uninstall",
             left + ([done.stdout] if done.returncode else []))


def main():
    only = sys.argv[1:2] == ["--programs"]
    if len(sys.argv) != 3 + only:
        sys.exit(__doc__)
    build, libmbuf = map(os.path.abspath, sys.argv[1 + only:])
    print("TAP version 13")
    pages = [Page(p) for p in sorted(glob.glob(os.path.join(HERE, "*.[1-9]")))]
    if only:
        check_examples(pages, os.path.join(build, "manual"), libmbuf)
        sys.exit(1 if failures else 0)
    check_lint(pages)
    check_references(pages)
    device, overview = (next(p for p in pages if p.file == name)
                        for name in ("mbuf.4", "mbuf.7"))
    check_calls(device)
    check_constants(device)
    check_module(device, overview)
    check_texts()
    check_functions(pages)
    check_examples(pages, os.path.join(build, "docs/manual"), libmbuf)
    check_install(pages)
    print(f"1..{number}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
