# SPDX-License-Identifier: LGPL-2.1-or-later
"""Count test cases in TAP, plain or as kselftest's runner nests it."""

import re

RESULT = re.compile(r"^(not )?ok\b\s*(\d+)?\s*-?\s*(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*SKIP\s*(.*))?")
DIRECTIVE = re.compile(r"(?:^|\s)#\s*(SKIP|TODO|XFAIL)\b[:\s]*(.*)$", re.I)
# The harness of Linux 6.1 leaves the name off a skipped test.
RUN = re.compile(r"^#\s+RUN\s+(\S+)")
# ... and tells the reason on a line of its own.
REASON = re.compile(r"^#\s+SKIP\s+(.*)")


class Tap:
    """One producer of TAP: what it announced and what came."""

    def __init__(self, name):
        self.name = name
        self.planned = None
        self.streams = self.plans = 0
        self.passed = []
        self.failed = []
        self.skipped = []	# (name, reason)
        self._run = None
        self._reason = ""

    def count(self):
        return len(self.passed) + len(self.failed) + len(self.skipped)

    def line(self, line):
        """Take a line in; True if it was a result."""
        line = line.rstrip()
        if line.startswith("TAP version "):
            self.streams += 1
            return False
        plan = PLAN.match(line)
        if plan:
            self.plans += 1
            # Several programs may have written one after the other.
            self.planned = (self.planned or 0) + int(plan.group(1))
            if plan.group(2) is not None and plan.group(1) == "0":
                self.skipped.append((self.name, plan.group(2)))
                self.planned += 1
            return False
        run = RUN.match(line)
        if run:
            self._run, self._reason = run.group(1), ""
            return False
        reason = REASON.match(line)
        if reason:
            self._reason = reason.group(1)
            return False
        result = RESULT.match(line)
        if not result:
            return False
        text = result.group(3)
        directive = DIRECTIVE.search(text)
        if directive:
            text = text[:directive.start()].strip()
        label = text or self._run or f"test {result.group(2) or '?'}"
        self._run = None
        if result.group(1):
            self.failed.append(label)
        elif directive and directive.group(1).upper() == "SKIP":
            reason = directive.group(2) or self._reason or "no reason given"
            self.skipped.append((label, reason))
        else:
            self.passed.append(label)
        return True

    def finish(self):
        """What was announced and never came has failed."""
        if self.planned is None and not self.count():
            self.failed.append("no test result at all")
        missing = (self.planned or 0) - self.count()
        if missing > 0:
            self.failed.extend(["announced, but never ended"] * missing)
        # One of several programs may have ended before it said how many.
        missing = self.streams - self.plans
        if missing > 0:
            self.failed.extend(["ended without its plan"] * missing)


class Kselftest:
    """What kselftest's runner prints: TAP of the programs, and in it, behind
    "# ", the TAP of the tests in each program."""

    START = re.compile(r"^# selftests: \S+: (\S+)")

    def __init__(self):
        self.outer = Tap("selftests")
        self.inner = []
        self.current = None

    def line(self, line):
        """Take a line in; True if it was a result."""
        start = self.START.match(line)
        if start:
            self.current = Tap(start.group(1))
            self.inner.append(self.current)
            return False
        if line.startswith("# ") and self.current:
            return self.current.line(line[2:])
        if RESULT.match(line):
            before = len(self.outer.failed)
            self.outer.line(line)
            self._close(len(self.outer.failed) > before, line)
            return False
        self.outer.line(line)
        return False

    def _close(self, failed, line):
        tap = self.current
        self.current = None
        if tap is None:
            return
        if not tap.count() and tap.planned is None:
            # No harness: the program is one test.
            directive = DIRECTIVE.search(line)
            if failed:
                tap.failed.append(line.strip())
            elif directive:
                tap.skipped.append((tap.name, directive.group(2) or
                                    "the program says so"))
            else:
                tap.passed.append(tap.name)
            return
        tap.finish()
        if failed and not tap.failed:
            # All tests were fine, and yet: a crash or a timeout at the end.
            tap.failed.append(line.strip())

    def finish(self):
        if self.current is not None:
            self.current.failed.append("the program did not end")
            self.current = None
        missing = (self.outer.planned or 0) - self.outer.count()
        extra = Tap("selftests")
        if self.outer.planned is None:
            extra.failed.append("the runner printed nothing")
        extra.failed.extend(["a program was not run"] * max(0, missing))
        self.inner.append(extra)

    def totals(self):
        """(passed, failed, skipped) with names."""
        passed, failed, skipped = [], [], []
        for tap in self.inner:
            passed += [f"{tap.name}: {n}" for n in tap.passed]
            failed += [f"{tap.name}: {n}" for n in tap.failed]
            skipped += [(f"{tap.name}: {n}", r) for n, r in tap.skipped]
        return passed, failed, skipped
