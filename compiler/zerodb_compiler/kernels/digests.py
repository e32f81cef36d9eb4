"""Message digests: MD5 (RFC 1321) and the SHA-2 family (FIPS 180-4).

A digest of a text is computed over a padded copy of it in the worker's scratch memory. The constants are computed when
they are first needed: they are digits of sines and of roots of primes.
"""

from __future__ import annotations

import math

from zerodb_compiler.kernels.intrinsics import (
    Table,
    i32,
    i64,
    load8_u,
    load32,
    load64,
    memory_copy,
    memory_fill,
    ptr,
    rotl,
    rotr,
    shr_u,
    store8,
    store32,
    store64,
)
from zerodb_compiler.kernels.memory import scratch, scratch_end


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _root_fraction(number: int, degree: int, bits: int) -> int:
    """The first `bits` bits of the fraction of a square or cube root."""
    wanted = number << degree * bits
    root = math.isqrt(wanted) if degree == 2 else 1 << -(-wanted.bit_length() // 3)
    while degree == 3 and (better := (2 * root + wanted // root**2) // 3) < root:
        root = better
    return root & (1 << bits) - 1


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


_PRIMES = _primes(80)
MD5_K = Table("i32", tuple(_signed(int(abs(math.sin(i + 1)) * (1 << 32)), 32) for i in range(64)), "md5_constant")
MD5_SHIFT = Table("i32", (7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21), "md5_shift")
SHA256_K = Table("i32", tuple(_signed(_root_fraction(p, 3, 32), 32) for p in _PRIMES[:64]), "sha256_constant")
SHA512_K = Table("i64", tuple(_signed(_root_fraction(p, 3, 64), 64) for p in _PRIMES), "sha512_constant")
SHA224_START = Table("i32", tuple(_signed(_root_fraction(p, 2, 64) & 0xFFFFFFFF, 32) for p in _PRIMES[8:16]), "sha224")
SHA256_START = Table("i32", tuple(_signed(_root_fraction(p, 2, 32), 32) for p in _PRIMES[:8]), "sha256")
SHA384_START = Table("i64", tuple(_signed(_root_fraction(p, 2, 64), 64) for p in _PRIMES[8:16]), "sha384")
SHA512_START = Table("i64", tuple(_signed(_root_fraction(p, 2, 64), 64) for p in _PRIMES[:8]), "sha512")


def padded(worker: ptr, p: ptr, length: i32, block: i32, room: i32, big_endian: i32) -> tuple[ptr, i32]:
    """A copy of the message padded to whole blocks, behind `room` bytes for the state; its bytes. 0: no memory."""
    tail = block >> 3
    size = (length + 1 + tail + block - 1) & (0 - block)
    area = scratch(worker, room + size + 16)
    if area == 0:
        return 0, 0
    message = area + room
    memory_copy(message, p, length)
    memory_fill(message + length, 0, size - length)
    store8(message + length, 0x80)
    bits = i64(length) << 3
    if big_endian:
        store64(message + size - 8, swapped64(bits))
    else:
        store64(message + size - 8, bits)
    return area, size


def swapped(x: i32) -> i32:
    """The bytes in the other order."""
    return (rotl(x, 8) & 0x00FF00FF) | (rotr(x, 8) & (0 - 0x00FF0100))


def swapped64(x: i64) -> i64:
    low = i64(swapped(i32(x))) & 0xFFFFFFFF
    high = i64(swapped(i32(shr_u(x, 32)))) & 0xFFFFFFFF
    return low << 32 | high


def md5(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """The digest in hexadecimal digits."""
    area, size = padded(worker, p, length, 64, 48, 0)
    if area == 0:
        return 0, 0
    message = area + 48
    end = message + size
    a0 = 0x67452301
    b0 = 0 - 0x10325477
    c0 = 0 - 0x67452302
    d0 = 0x10325476
    while message != end:
        a = a0
        b = b0
        c = c0
        d = d0
        for i in range(64):
            f = 0
            g = 0
            if i < 16:
                f = (b & c) | ((b ^ -1) & d)
                g = i
            elif i < 32:
                f = (d & b) | ((d ^ -1) & c)
                g = (5 * i + 1) & 15
            elif i < 48:
                f = b ^ c ^ d
                g = (3 * i + 5) & 15
            else:
                f = c ^ (b | (d ^ -1))
                g = (7 * i) & 15
            f = f + a + MD5_K[i] + load32(message + (g << 2))
            a = d
            d = c
            c = b
            b = b + rotl(f, MD5_SHIFT[((i >> 4) << 2) | (i & 3)])
        a0 += a
        b0 += b
        c0 += c
        d0 += d
        message += 64
    store32(area, a0)
    store32(area, b0, 4)
    store32(area, c0, 8)
    store32(area, d0, 12)
    digits = area + 16
    for i in range(16):
        byte = load8_u(area + i)
        store8(digits + 2 * i, hex_digit_of(byte >> 4))
        store8(digits + 2 * i, hex_digit_of(byte & 15), 1)
    scratch_end(worker, area + 48)
    return digits, 32


def hex_digit_of(value: i32) -> i32:
    return value + (0x30 if value < 10 else 0x57)


def sha256_blocks(area: ptr, size: i32) -> None:
    """The state at `area` over the blocks behind it; the message schedule lies between."""
    schedule = area + 32
    message = area + 288
    end = message + size
    while message != end:
        for i in range(16):
            store32(schedule + (i << 2), swapped(load32(message + (i << 2))))
        for i in range(16, 64):
            place = schedule + (i << 2)
            x = load32(place - 60)
            y = load32(place - 8)
            s0 = rotr(x, 7) ^ rotr(x, 18) ^ shr_u(x, 3)
            s1 = rotr(y, 17) ^ rotr(y, 19) ^ shr_u(y, 10)
            store32(place, load32(place - 64) + s0 + load32(place - 28) + s1)
        a = load32(area)
        b = load32(area, 4)
        c = load32(area, 8)
        d = load32(area, 12)
        e = load32(area, 16)
        f = load32(area, 20)
        g = load32(area, 24)
        h = load32(area, 28)
        for i in range(64):
            s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)
            t1 = h + s1 + ((e & f) ^ ((e ^ -1) & g)) + SHA256_K[i] + load32(schedule + (i << 2))
            t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
            h = g
            g = f
            f = e
            e = d + t1
            d = c
            c = b
            b = a
            a = t1 + t2
        store32(area, load32(area) + a)
        store32(area, load32(area, 4) + b, 4)
        store32(area, load32(area, 8) + c, 8)
        store32(area, load32(area, 12) + d, 12)
        store32(area, load32(area, 16) + e, 16)
        store32(area, load32(area, 20) + f, 20)
        store32(area, load32(area, 24) + g, 24)
        store32(area, load32(area, 28) + h, 28)
        message += 64
    for i in range(8):
        store32(area + (i << 2), swapped(load32(area + (i << 2))))


def sha512_blocks(area: ptr, size: i32) -> None:
    schedule = area + 64
    message = area + 704
    end = message + size
    while message != end:
        for i in range(16):
            store64(schedule + (i << 3), swapped64(load64(message + (i << 3))))
        for i in range(16, 80):
            place = schedule + (i << 3)
            x = load64(place - 120)
            y = load64(place - 16)
            s0 = rotr(x, 1) ^ rotr(x, 8) ^ shr_u(x, 7)
            s1 = rotr(y, 19) ^ rotr(y, 61) ^ shr_u(y, 6)
            store64(place, load64(place - 128) + s0 + load64(place - 56) + s1)
        a = load64(area)
        b = load64(area, 8)
        c = load64(area, 16)
        d = load64(area, 24)
        e = load64(area, 32)
        f = load64(area, 40)
        g = load64(area, 48)
        h = load64(area, 56)
        for i in range(80):
            s1 = rotr(e, 14) ^ rotr(e, 18) ^ rotr(e, 41)
            t1 = h + s1 + ((e & f) ^ ((e ^ -1) & g)) + SHA512_K[i] + load64(schedule + (i << 3))
            t2 = (rotr(a, 28) ^ rotr(a, 34) ^ rotr(a, 39)) + ((a & b) ^ (a & c) ^ (b & c))
            h = g
            g = f
            f = e
            e = d + t1
            d = c
            c = b
            b = a
            a = t1 + t2
        store64(area, load64(area) + a)
        store64(area, load64(area, 8) + b, 8)
        store64(area, load64(area, 16) + c, 16)
        store64(area, load64(area, 24) + d, 24)
        store64(area, load64(area, 32) + e, 32)
        store64(area, load64(area, 40) + f, 40)
        store64(area, load64(area, 48) + g, 48)
        store64(area, load64(area, 56) + h, 56)
        message += 128
    for i in range(8):
        store64(area + (i << 3), swapped64(load64(area + (i << 3))))


def sha224(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    area, size = padded(worker, p, length, 64, 288, 1)
    if area == 0:
        return 0, 0
    for i in range(8):
        store32(area + (i << 2), SHA224_START[i])
    sha256_blocks(area, size)
    scratch_end(worker, area + 28)
    return area, 28


def sha256(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    area, size = padded(worker, p, length, 64, 288, 1)
    if area == 0:
        return 0, 0
    for i in range(8):
        store32(area + (i << 2), SHA256_START[i])
    sha256_blocks(area, size)
    scratch_end(worker, area + 32)
    return area, 32


def sha384(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    area, size = padded(worker, p, length, 128, 704, 1)
    if area == 0:
        return 0, 0
    for i in range(8):
        store64(area + (i << 3), SHA384_START[i])
    sha512_blocks(area, size)
    scratch_end(worker, area + 48)
    return area, 48


def sha512(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    area, size = padded(worker, p, length, 128, 704, 1)
    if area == 0:
        return 0, 0
    for i in range(8):
        store64(area + (i << 3), SHA512_START[i])
    sha512_blocks(area, size)
    scratch_end(worker, area + 64)
    return area, 64
