"""A compiled format as bytes: a header of eight i32, then nodes of four i32 (operation, flags, literal's offset and
length), then the literals. Offsets count from the beginning."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_BYTES = 32
NODE_BYTES = 16
END = 0
LITERAL = 1


@dataclass(frozen=True, slots=True)
class Node:
    operation: int
    flags: int = 0
    text: str = ""


def write(header: tuple[int, ...], nodes: list[Node]) -> bytes:
    out = bytearray(struct.pack("<8i", *(*header, *([0] * (8 - len(header))))))
    place = HEADER_BYTES + NODE_BYTES * (len(nodes) + 1)
    literals = bytearray()
    for node in (*nodes, Node(END)):
        data = node.text.encode()
        out += struct.pack("<4i", node.operation, node.flags, place + len(literals), len(data))
        literals += data
    return bytes(out + literals)


def merged(nodes: list[Node]) -> list[Node]:
    """Neighbouring literals as one."""
    result: list[Node] = []
    for node in nodes:
        if node.operation == LITERAL and result and result[-1].operation == LITERAL:
            result[-1] = Node(LITERAL, 0, result[-1].text + node.text)
        else:
            result.append(node)
    return result
