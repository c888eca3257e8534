#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Turn Documentation/netlink/mbuf.yaml into tables that a test compiles.

usage: netlink_spec.py SPEC >netlink_spec_tables.h

Knows as much of YAML as that file uses: maps and lists by indentation, lists in
brackets, text after |, an anchor and its alias.
"""

import re
import sys


class Lines:
    """The file's lines, without comments, one after the other."""

    def __init__(self, text):
        self.lines = [line.rstrip() for line in text.splitlines()
                      if not re.match(r"\s*(#.*)?$|---$", line)]
        self.at = 0

    def peek(self):
        """Indentation and text of the next line; -1 at the end."""
        if self.at == len(self.lines):
            return -1, ""
        line = self.lines[self.at]
        return len(line) - len(line.lstrip()), line.lstrip()


def scalar(text, anchors):
    if text.startswith("["):
        return [scalar(t.strip(), anchors)
                for t in text.strip("[]").split(",")]
    if text.startswith("*"):
        return anchors[text[1:]]
    return int(text) if re.fullmatch(r"\d+", text) else text


def value(lines, indent, text, anchors):
    """What follows "key:" or "-"; text is what does so on the same line."""
    if text == "|":
        words = []
        while lines.peek()[0] > indent:
            words.append(lines.peek()[1])
            lines.at += 1
        return " ".join(words)
    anchor = None
    if text.startswith("&"):
        anchor, text = text[1:], ""
    if text:
        result = scalar(text, anchors)
    else:
        inner, first = lines.peek()
        # A list may be as far to the right as what it belongs to.
        if inner < indent or (inner == indent and first[0] != "-"):
            sys.exit(f"netlink_spec.py: nothing follows: {lines.at}")
        result = block(lines, inner, anchors)
    if anchor:
        anchors[anchor] = result
    return result


def block(lines, indent, anchors):
    """A list or a map, all of which begins at this indentation."""
    first = lines.peek()[1]
    if first == "-" or first.startswith("- "):
        items = []
        while lines.peek()[0] == indent and lines.peek()[1][0] == "-":
            rest = lines.peek()[1][1:].lstrip()
            if re.match(r"[\w-]+:", rest):
                # A map that begins behind the dash.
                lines.lines[lines.at] = " " * (indent + 2) + rest
                items.append(block(lines, indent + 2, anchors))
            else:
                lines.at += 1
                items.append(value(lines, indent + 1, rest, anchors))
        return items
    result = {}
    while lines.peek()[0] == indent:
        match = re.fullmatch(r"([\w-]+):\s*(.*)", lines.peek()[1])
        if not match:
            sys.exit(f"netlink_spec.py: not understood: {lines.peek()[1]}")
        lines.at += 1
        result[match[1]] = value(lines, indent, match[2], anchors)
    return result


def c_name(*parts):
    return "_".join(parts).upper().replace("-", "_")


def table(kind, name, rows):
    print(f"static const struct {kind} {name}[] = {{")
    for row in rows:
        print(f"\t{{ {row} }},")
    print("};\n")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        lines = Lines(f.read())
    spec = block(lines, 0, {})
    if lines.peek()[0] != -1:
        sys.exit(f"netlink_spec.py: not understood: {lines.peek()[1]}")
    family = spec["name"]
    sets = {s["name"]: s for s in spec["attribute-sets"]}

    print("/* Made by netlink_spec.py. */")
    print(f'#define SPEC_FAMILY "{family}"')
    print(f'#define SPEC_HEADER "{spec["uapi-header"]}"\n')

    constants = []
    for d in spec["definitions"]:
        for i, entry in enumerate(d["entries"]):
            c = c_name(family, d["name"], entry["name"])
            constants.append(f'"{c}", {d["value-start"] + i}, {c}')
    for s in sets.values():
        for i, attr in enumerate(s["attributes"]):
            c = c_name(family, "a", s["name"], attr["name"])
            constants.append(f'"{c}", {i + 1}, {c}')
        c = c_name(family, "a", s["name"], "max")
        constants.append(f'"{c}", {len(s["attributes"])}, {c}')
    for op in spec["operations"]["list"]:
        c = c_name(family, "cmd", op["name"])
        constants.append(f'"{c}", {op["value"]}, {c}')
    c = c_name(family, "cmd", "max")
    constants.append(f'"{c}", {len(spec["operations"]["list"])}, {c}')
    table("spec_constant", "spec_constants", constants)

    for s in sets:
        print(f"extern const struct spec_set spec_set_{s.replace('-', '_')};")
    print()
    for name, s in sets.items():
        rows = []
        for attr in s["attributes"]:
            nest = attr.get("nested-attributes")
            rows.append(
                f'"{attr["name"]}", "{attr["type"]}", ' +
                (f"&spec_set_{nest.replace('-', '_')}" if nest else "NULL"))
        name = name.replace("-", "_")
        table("spec_attr", f"spec_attrs_{name}", rows)
        print(f"const struct spec_set spec_set_{name} = {{\n"
              f'\t"{name}", spec_attrs_{name}, '
              f'{len(s["attributes"])}\n}};\n')

    def mask(op, mode, side):
        names = [a["name"] for a in
                 sets[op["attribute-set"]]["attributes"]]
        wanted = op.get(mode) or {}
        if mode != "event":
            wanted = wanted.get(side) or {}
        bits = [f'(1u << {names.index(a) + 1})'
                for a in wanted.get("attributes", [])]
        return " | ".join(bits) or "0"

    rows = []
    for op in spec["operations"]["list"]:
        flags = op.get("flags", [])
        rows.append(
            f'"{op["name"]}", {op["value"]}, '
            f'&spec_set_{op["attribute-set"].replace("-", "_")}, '
            f'{int("do" in op)}, {int("dump" in op)}, '
            f'{int("uns-admin-perm" in flags)},\n\t  '
            f'{mask(op, "do", "request")},\n\t  '
            f'{mask(op, "dump", "request")},\n\t  '
            f'{mask(op, "do", "reply")},\n\t  '
            f'{mask(op, "dump", "reply")},\n\t  '
            f'{mask(op, "event", "")}')
    table("spec_op", "spec_ops", rows)
    groups = spec["mcast-groups"]["list"]
    table("spec_group", "spec_groups", [f'"{g["name"]}"' for g in groups])


main()
