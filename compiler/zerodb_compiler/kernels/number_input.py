"""to_number: a text read by a compiled number format: digits where the format has them, group marks and signs."""

from __future__ import annotations

from zerodb_compiler.formats import numbers as fm
from zerodb_compiler.formats import program
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.int128 import add, multiply, scale_up, with_sign
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, ptr
from zerodb_compiler.kernels.text import character_bytes


def to_number(code: ptr, p: ptr, length: i32, scale: i32) -> tuple[i64, i64, i32]:
    end = p + length
    flags = load32(code, fm.HEADER_FLAGS)
    node = code + program.HEADER_BYTES
    low: i64 = 0
    high: i64 = 0
    negative: i64 = 0
    digits = 0
    places = 0
    behind_point = False
    while load32(node) != program.END and p < end:
        operation = load32(node)
        if operation <= fm.POINT and operation >= fm.NINE:
            # Spaces, then a sign, may come before the first digit.
            while p < end and load8_u(p) == 0x20:
                p += 1
            if p < end and digits == 0 and behind_point == 0:
                byte = load8_u(p)
                if byte == 0x2D or (byte == 0x3C and (flags & fm.F_BRACKET) != 0):
                    negative = -1
                    p += 1
                elif byte == 0x2B:
                    p += 1
            if p < end:
                byte = load8_u(p)
                if byte == 0x2E and behind_point == 0:
                    if operation == fm.POINT or (flags & fm.F_DECIMAL) != 0:
                        behind_point = True
                        p += 1
                    else:
                        break
                elif (byte >= 0x30) & (byte <= 0x39) and operation != fm.POINT:
                    if not (behind_point and places >= scale):
                        low, high, over = multiply(low, high, 10, 0)
                        low, high, over_too = add(low, high, i64(byte - 0x30), 0)
                        if over | over_too:
                            return 0, 0, errors.OVERFLOW
                        places += behind_point
                    digits += 1
                    p += 1
        elif operation == fm.COMMA:
            if load8_u(p) == 0x2C:
                p += 1
        elif (operation == fm.MINUS) | (operation == fm.PLUS) | (operation == fm.SIGN) | (operation == fm.S_SIGN):
            byte = load8_u(p)
            if byte == 0x2D:
                negative = -1
                p += 1
            elif (byte == 0x2B) | (byte == 0x20):
                p += 1
        elif (operation == fm.TH_UPPER) | (operation == fm.TH_LOWER):
            p += 2
        elif operation != fm.NOTHING:
            byte = load8_u(p)
            if not ((byte >= 0x30) & (byte <= 0x39)) and byte != 0x2D and byte != 0x2E and byte != 0x2C:
                p += character_bytes(byte)
        node += program.NODE_BYTES
    if digits == 0:
        return 0, 0, errors.INVALID_TEXT
    if p < end and load8_u(p) == 0x2D and (flags & (fm.F_LSIGN | fm.F_MINUS)) != 0:
        negative = -1
    low, high, over = scale_up(low, high, scale - places)
    if over:
        return 0, 0, errors.OVERFLOW
    low, high = with_sign(low, high, negative)
    return low, high, errors.OK
