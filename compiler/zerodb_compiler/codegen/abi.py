"""The binary interface between generated code and its host: what lies where in linear memory.

A module imports ("zerodb", "memory"), the shared memory, and ("zerodb", "allocate"), the one call back into the host.
It exports run(worker: i32, morsel: i32, entry: i32) -> status: i32, which calls the function that Program.entries names
at the place `entry` (entries.py). `worker` is the address of a worker block; the query block of the execution lies
before all worker blocks, in one allocation that the host zeroes:

    query block (Program.query_bytes) | worker block 0 | worker block 1 | ...      (Program.worker_bytes each)

All fields are little endian, at the byte offsets below.
"""

from __future__ import annotations

RUN = "run"  # the exported function
MOST_ENTRIES = 1 << 16  # entry + MOST_ENTRIES * n: for n morsels more, while the status is 0 (n < 1 << 15)

# --- steps: what `run` does in one call of the entry STEPS, whose second argument is the address of the first step ---
# Each step is morsels of another entry, one after another while the status is 0; STATUS_DONE goes on elsewhere, any
# other status ends all.
STEPS = "steps"
STEP_ENTRY = 0  # i32: -1 behind the last step
STEP_FIRST = 4  # i32: the first morsel
STEP_COUNT = 8  # i32: how many
STEP_COUNT_AT = 12  # i32: where their number is found, or 0
STEP_DONE = 16  # i32: the step that follows STATUS_DONE
STEP_BYTES = 20
STEP_MORSELS = 64  # run without a look at QUERY_INTERRUPT

# --- status: what it returns ----------------------------------------
STATUS_OK = 0
STATUS_DONE = -1  # this pipeline needs no further morsel (LIMIT reached)
STATUS_OUT_OF_MEMORY = -2  # allocate() returned 0: SQLSTATE 53200
STATUS_INTERRUPTED = -3  # the interrupt flag was seen set: SQLSTATE 57014
# A status above 0 is 1 + an index into Program.errors.

# --- query block header ----------------------------------------
QUERY_INTERRUPT = 0  # i32: not 0 asks the code to stop with STATUS_INTERRUPTED at its next check
QUERY_WORKERS = 4  # i32: number of worker blocks
QUERY_FREE = 16  # first byte for the program's own fields (parameters, scan slots, tables)

# --- worker block header ----------------------------------------
WORKER_QUERY = 0  # i32: address of the query block
WORKER_INDEX = 4  # i32
WORKER_ARENA_NEXT = 8  # i32: bump allocator for memory that lives until the query ends
WORKER_ARENA_END = 12  # i32
WORKER_SCRATCH_NEXT = 16  # i32: bump allocator that the code itself resets at the start of a morsel
WORKER_SCRATCH_END = 20  # i32
WORKER_SCRATCH_START = 24  # i32: start of the current scratch block
WORKER_OUTPUT_FIRST = 28  # i32: first finished or current output block of this worker, 0 for none; list by OUTPUT_NEXT
WORKER_OUTPUT_CURRENT = 32  # i32: the block being filled, 0 for none
WORKER_OUTPUT_SPARE = 36  # i32: a block of WORKER_OUTPUT_SPARE_BYTES given by the host beforehand, 0 for none
WORKER_OUTPUT_SPARE_BYTES = 40  # i32
WORKER_MORSEL = 44  # i32: the morsel being run
WORKER_ERROR_VALUE = 48  # i64: a value for the error message's {value}, where the error site says so
WORKER_ERROR_TEXT = 56  # i32 address, i32 length: a text for the error message's {text}
WORKER_NEXT = 64  # i32: address of the next worker's block, 0 for the last
WORKER_FREE = 72  # first byte for the program's own fields

# --- allocate(worker: i32, bytes: i32, kind: i32) -> address: i32, 0 if the memory limit forbids it ---
# Blocks are 16-byte aligned and NOT zeroed. The host frees ARENA and SCRATCH blocks when the query ends (a new scratch
# block replaces the worker's old one), OUTPUT blocks once it has copied them out.
ALLOCATE_ARENA = 0
ALLOCATE_SCRATCH = 1
ALLOCATE_OUTPUT = 2
# Asks the host to compile the text at WORKER_ERROR_TEXT: `bytes` is the compiler's number (derived.py), the result the
# program's address, 0 with the error kept by the host. It lives like an ARENA block.
ALLOCATE_DERIVED = 3
ALLOCATE_RANDOM = 4  # gives 31 random bits; `bytes` is 0
# Asks the host to call an external function for the rows of a block, whose address is at WORKER_ERROR_TEXT. `bytes` is
# the number of the call, an index into Program.externals; gives 1, or 0 with the error kept by the host.
ALLOCATE_EXTERNAL = 5

# --- blocks of rows that external functions are called for (operators/external_map.py) ---
# header, then for each text argument the address of its texts (an i32: see kernels/external.py), then, from the size
# that ExternalCall.header names, the arrays: array k begins at header + capacity * (the bytes a row takes before it).
EXTERNAL_NEXT = 0  # i32
EXTERNAL_ROWS = 4  # i32
EXTERNAL_CAPACITY = 8  # i32, a multiple of 16
EXTERNAL_HEADER = 16

# --- scan descriptors: Scan.slot in the query block holds the address of an array with one entry a morsel ---
# entry: CHUNK_HEADER bytes, then per scanned column (in Scan.ordinals order): i32 data address, i32 validity address.
# The validity address is given for columns whose layout has_nulls, the visibility address if the table has_deletes
# (the page of ones where the chunk has none); otherwise they are 0 and must not be read.
CHUNK_ROWS_FIELD = 0  # i32: rows in this chunk
CHUNK_INDEX_FIELD = 4  # i32: chunk number in the table version; row id = chunk << 16 | row
CHUNK_VISIBILITY_FIELD = 8  # i32
CHUNK_HEADER = 16
CHUNK_COLUMN_BYTES = 8

# --- parameters: PARAMETER_BYTES each in the query block ----------------------------------------
PARAMETER_IS_NULL = 0  # i32
PARAMETER_VALUE = 8  # i64 (low 64 bits of the canonical integer) | f64 | i32 address and i32 length of text
PARAMETER_HIGH = 16  # i64: high 64 bits of the canonical integer (sign extension for small values)
PARAMETER_BYTES = 24

# --- dictionary slots: DICTIONARY_BYTES each in the query block ----------------------------------------
DICTIONARY_ADDRESS = 0  # i32: the size + 1 absolute addresses
DICTIONARY_SIZE = 4  # i32
DICTIONARY_BYTES = 8

# --- output blocks ----------------------------------------
# header, then one OUTPUT_COLUMN_BYTES record per output column, then the arrays.
OUTPUT_ROWS = 0  # i32
OUTPUT_MORSEL = 4  # i32: the morsel the rows are from; the host orders blocks by (morsel, place in the list)
OUTPUT_NEXT = 8  # i32
OUTPUT_SIZE = 12  # i32: bytes of the block
OUTPUT_HEADER = 16
OUTPUT_COLUMN_DATA = 0  # i32 address; element sizes in OUTPUT_WIDTHS; text: rows + 1 i32 offsets into the heap
OUTPUT_COLUMN_VALIDITY = 4  # i32 address of one byte a row (1 = present), or 0 if the column cannot be NULL
OUTPUT_COLUMN_HEAP = 8  # i32 address of the text bytes
OUTPUT_COLUMN_HEAP_END = 12  # i32 end of the heap's room
OUTPUT_COLUMN_BYTES = 16
