"""One column of one segment as bytes, and back.

Integers are stored as differences from the segment's least value (frame of reference) or from the value before (delta,
where that saves at least three bits, as in sorted keys), divided by a common factor if there is one, cut to the bytes
they need and transposed: all first bytes, then all second bytes. Low bytes of random data do not compress and zstd
skips them fast; high bytes nearly vanish. Strings are stored as lengths (an integer column) and bytes. zstd is outside.

    head | data, zstd | text, zstd | validity as bits, zstd
"""

from __future__ import annotations

import struct
import threading

import numpy as np
import zstandard

from zerodb_storage.values import Array, Form, Values

_HEAD = struct.Struct("<BBBBIqqIII")  # form, flags, width, reserved, rows, base, factor, sizes of the three parts
_DELTA = 1
_VALIDITY = 2
_RAW = 4  # parts are stored as they are: tiny columns, where zstd's frame would cost more than it saves
LEVEL = 1
_PLAIN = 8  # no transformation at all, the arrays as they are: the few rows of a small transaction
_RAW_BYTES_MAX = 64
MOST_ROWS = 1 << 26  # of any column that is stored
_PLAIN_ROWS_MAX = 32
_FACTOR_SAMPLE = 64
_TEXT_BYTES_MAX = 1 << 32

_local = threading.local()


def _compress(data: bytes) -> bytes:
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)
    return compressor.compress(data)


def _decompress(data: bytes | memoryview) -> bytes:
    decompressor = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    return decompressor.decompress(data)


def _transposed(data: Array, width: int) -> Array:
    """The low `width` bytes of each item, byte position by byte position."""
    items = data.view(np.uint8).reshape(len(data), -1)
    return np.ascontiguousarray(items[:, :width].T)


def _restored(planes: bytes | memoryview, count: int, width: int, item: int) -> Array:
    """Inverse of `_transposed`: `count` items of `item` bytes."""
    source = np.frombuffer(planes, np.uint8).reshape(width, count)
    items = np.zeros((count, item), np.uint8)
    for position in range(width):
        items[:, position] = source[position]
    return items


def _common_factor(offsets: Array) -> int:
    """A number above 1 that divides all values, or 1."""
    step = max(1, len(offsets) // _FACTOR_SAMPLE)
    factor = int(np.gcd.reduce(offsets[::step]))
    if not 1 < factor < 1 << 62:
        return 1
    return factor if not np.any(offsets % np.uint64(factor)) else 1


def _encode_integers(data: Array) -> tuple[int, int, int, int, Array]:
    """(flags, width, base, factor, planes) of int64 values."""
    if len(data) == 0:
        return 0, 0, 0, 1, np.empty(0, np.uint8)
    low, high = int(data.min()), int(data.max())
    spread = high - low
    if spread == 0:
        return 0, 0, low, 1, np.empty(0, np.uint8)
    if len(data) > 2 and spread < 1 << 62:
        steps = np.diff(data)
        least, most = int(steps.min()), int(steps.max())
        if (most - least).bit_length() + 3 <= spread.bit_length() and abs(least) < 1 << 61:
            if least == most:
                return _DELTA, 0, int(data[0]), least, np.empty(0, np.uint8)
            folded = np.empty(len(data), np.uint64)
            folded[0] = 0
            np.subtract(steps, least, out=folded[1:].view(np.int64))
            # base is the first value; the least step goes where the factor would
            return _DELTA, _bytes_needed(most - least), int(data[0]), least, folded
    offsets = data.view(np.uint64) - np.uint64(low % (1 << 64))  # wraps to the right difference
    factor = _common_factor(offsets)
    if factor > 1:
        offsets = offsets // np.uint64(factor)
        spread //= factor
    return 0, _bytes_needed(spread), low, factor, offsets


def _bytes_needed(spread: int) -> int:
    return (spread.bit_length() + 7) // 8


def _decode_integers(planes: bytes | memoryview, count: int, flags: int, width: int, base: int, factor: int) -> Array:
    if width == 0 and not flags & _DELTA:
        return np.full(count, base, np.int64)
    offsets = _restored(planes, count, width, 8).reshape(-1).view(np.int64)
    if flags & _DELTA:
        offsets[1:] += factor
        offsets[0] = base
        return np.cumsum(offsets, out=offsets)
    if factor > 1:
        offsets *= factor
    if base:
        offsets += base
    return offsets


def encode(values: Values) -> bytes:
    """The bytes of a column; `decode` gives back the same values."""
    if len(values) <= _PLAIN_ROWS_MAX:
        return _encode_plain(values)
    flags, width, base, factor = 0, 0, 0, 1
    data, validity = values.data, values.validity
    text: bytes | Array = b""
    match values.form:
        case Form.INT | Form.CODES:
            data = data.astype(np.int64, copy=False)
            if validity is not None and validity.any():
                present = validity != 0
                data = np.where(present, data, data[present].min())  # so that NULLs do not widen the range
            flags, width, base, factor, planes = _encode_integers(np.ascontiguousarray(data))
            if width:
                planes = _transposed(planes, width)
        case Form.TEXT:
            assert values.text is not None
            flags, width, base, factor, planes = _encode_integers(np.diff(data))
            if width:
                planes = _transposed(planes, width)
            text = np.ascontiguousarray(values.text)
        case Form.WIDE | Form.FLOAT:
            width = 16 if values.form is Form.WIDE else data.dtype.itemsize
            planes = _transposed(np.ascontiguousarray(data), width)
    bits: Array = np.empty(0, np.uint8)
    if validity is not None:
        flags |= _VALIDITY
        bits = np.packbits(validity, bitorder="little")
    parts: list[bytes] = [bytes(planes), bytes(text), bits.tobytes()]
    if sum(map(len, parts)) <= _RAW_BYTES_MAX:
        flags |= _RAW
    else:
        parts = [_compress(part) if part else b"" for part in parts]
    head = _HEAD.pack(values.form, flags, width, 0, len(values), base, factor, *map(len, parts))
    return b"".join((head, *parts))


def decode(content: bytes | memoryview, most_rows: int = MOST_ROWS) -> Values:
    """The values of encoded bytes; ValueError if they are not what `encode` makes, or are more than can be here (few
    bytes may stand for any number of equal values)."""
    try:
        return _decode(memoryview(content), most_rows)
    except (LookupError, OverflowError, MemoryError) as error:  # sizes that do not go together
        raise ValueError(f"column of wrong size ({error})") from error


def _decode(view: memoryview, most_rows: int) -> Values:
    if len(view) < _HEAD.size:
        raise ValueError("truncated column")
    form_number, flags, width, _, count, base, factor, *sizes = _HEAD.unpack_from(view)
    form = Form(form_number)
    if count > most_rows:
        raise ValueError(f"{count} rows where at most {most_rows} can be")
    if len(view) != _HEAD.size + sum(sizes):
        raise ValueError("column of wrong size")
    if width > 16 or (form is Form.FLOAT and width not in (4, 8)):
        raise ValueError("column of wrong width")
    if flags & _PLAIN:
        return _decode_plain(form, width, count, view[_HEAD.size :], sizes)
    parts: list[bytes | memoryview] = []
    at = _HEAD.size
    for size in sizes:
        part = view[at : at + size]
        at += size
        most = _TEXT_BYTES_MAX if len(parts) == 1 else 16 * count
        parts.append(part if flags & _RAW or not size else _decompressed(part, most))
    validity = None
    if flags & _VALIDITY:
        validity = np.unpackbits(np.frombuffer(parts[2], np.uint8), bitorder="little")[:count]
        if len(validity) != count:
            raise ValueError("validity of wrong size")
    match form:
        case Form.INT | Form.CODES:
            data = _decode_integers(parts[0], count, flags, width, base, factor)
            if form is Form.CODES:
                data = data.astype(np.int32)
            if validity is not None:
                data *= validity.astype(data.dtype)
            return Values(form, data, validity)
        case Form.TEXT:
            offsets = np.zeros(count + 1, np.int64)
            np.cumsum(_decode_integers(parts[0], count, flags, width, base, factor), out=offsets[1:])
            text = np.frombuffer(parts[1], np.uint8)
            _check_offsets(offsets, text)
            return Values(form, offsets, validity, text)
        case Form.WIDE:
            return Values(form, _restored(parts[0], count, 16, 16).view(np.int64).reshape(count, 2), validity)
        case Form.FLOAT:
            dtype = np.float32 if width == 4 else np.float64
            return Values(form, _restored(parts[0], count, width, width).reshape(-1).view(dtype), validity)


def _encode_plain(values: Values) -> bytes:
    data = values.data.tobytes()
    text = b"" if values.text is None else values.text.tobytes()
    validity = b"" if values.validity is None else values.validity.tobytes()
    width = values.data.dtype.itemsize
    head = _HEAD.pack(values.form, _PLAIN, width, 0, len(values), 0, 1, len(data), len(text), len(validity))
    return b"".join((head, data, text, validity))


def _decode_plain(form: Form, width: int, count: int, body: memoryview, sizes: list[int]) -> Values:
    if width not in (1, 2, 4, 8):
        raise ValueError("column of wrong width")
    kind = "f" if form is Form.FLOAT else "i"
    data: Array = np.frombuffer(body[: sizes[0]], np.dtype(f"{kind}{width}"))
    text = np.frombuffer(body[sizes[0] : sizes[0] + sizes[1]], np.uint8) if form is Form.TEXT else None
    validity = np.frombuffer(body[sizes[0] + sizes[1] :], np.uint8) if sizes[2] else None
    if form is Form.WIDE:
        data = data.reshape(count, 2)
    if len(data) != count + (form is Form.TEXT):
        raise ValueError("column of wrong size")
    if text is not None:
        _check_offsets(data, text)
    if validity is not None and len(validity) != count:
        raise ValueError("validity of wrong size")
    return Values(form, data, validity, text)


def _check_offsets(offsets: Array, text: Array) -> None:
    """Code reads where the offsets say: they must not leave the text."""
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(text) or bool((offsets[1:] < offsets[:-1]).any()):
        raise ValueError("text of wrong size")


def _decompressed(part: memoryview, most: int) -> bytes:
    """At most so many bytes, which the frame says: a damaged one must not ask for all memory."""
    try:
        if not 0 <= zstandard.frame_content_size(part) <= most:
            raise ValueError("column of wrong size")
        return _decompress(part)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
