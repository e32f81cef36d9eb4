"""Where things lie in a component's memory: fixed words, blocks, runs, and the tables that describe a program.

All numbers are byte offsets of little-endian fields; `i32` unless said otherwise.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi

# --- fixed words ----------------------------------------
HEAP_NEXT = 16  # first byte that was never part of a block
INTAKE_NEXT = 20  # bump allocator of what the ABI puts into the memory for one call
INTAKE_END = 24
INTAKE_BLOCKS = 28  # list of blocks
OUTGOING_BLOCKS = 32  # list of blocks that hold the result of the last call
ONES = 36  # CHUNK_ROWS + 16 bytes of 1: the validity of columns without a NULL; 0 before it is needed
FREE_LISTS = 64  # one per size class
SIZE_CLASSES = 128
STATIC = FREE_LISTS + 4 * SIZE_CLASSES  # the driver's constants, then the heap

# --- blocks: a header before each ----------------------------------------
BLOCK_HEADER = 16
BLOCK_CLASS = 0  # offsets in the header
BLOCK_NEXT = 4  # address of a block; of a header in a list of free blocks

# --- a run: this header, the query block, one worker block ----------------------------------------
RUN_BLOCKS = 0  # list of all blocks that live as long as the run
RUN_STATE = 4
RUN_ERROR = 8  # the result that every call gives once the run has failed, else 0
RUN_PIPELINE = 12
RUN_MORSEL = 16  # the next one; -1: the pipeline has not begun
RUN_MORSELS = 20
RUN_OUTPUT = 24  # list of output blocks, the first being delivered
RUN_AT = 28  # its first row that has not been delivered
RUN_DELIVERED = 32  # the block that the last call's result lies in, or 0
RUN_INPUTS = 36  # array: an entry for each input
RUN_WORKER = 40
RUN_HEADER = 64

FEEDING, RUNNING = 0, 1

INPUT_FIRST = 0  # list of batches
INPUT_LAST = 4
INPUT_CHUNKS = 8  # how many chunks of at most CHUNK_ROWS they make
INPUT_STATE_BYTES = 16

BATCH_NEXT = 0
BATCH_ROWS = 4
BATCH_COLUMNS = 8  # data and validity (0: no NULL) of each column
BATCH_COLUMN_BYTES = 8

# --- the table that describes a program (static.py) ----------------------------------------
ABOUT_QUERY_BYTES = 0
ABOUT_RUN_BYTES = 4
ABOUT_TEMPLATE = 8  # the query block as it is at first
ABOUT_PARAMETERS = 12  # number, then address of the table; so are the following
ABOUT_INPUTS = 20
ABOUT_OUTPUT = 28
ABOUT_PIPELINES = 36
ABOUT_LOOPS = 44
ABOUT_SCANS = 52
ABOUT_ERRORS = 60
ABOUT_FAILURES = 64  # number of the first error of those below
ABOUT_BYTES = 68

# Errors of no particular input or parameter, from ABOUT_FAILURES on.
FAIL_MEMORY, FAIL_INTERRUPTED, FAIL_FED, FAIL_INPUT, FAIL_PARAMETERS, FAILURES = range(6)

PARAMETER_KIND = 0
PARAMETER_SLOT = 4  # -1: the program does not read it
PARAMETER_ERRORS = 8  # wrong form, out of range, bad text
PARAMETER_SCALE = 12
PARAMETER_PRECISION = 16
PARAMETER_LOW = 24  # i64
PARAMETER_HIGH = 32  # i64
PARAMETER_RECORD = 40

INPUT_COLUMNS = 0  # number, address
INPUT_ERRORS = 8  # wrong number of columns
INPUT_RECORD = 12

COLUMN_CASE = 0  # of column-data
COLUMN_KIND = 4
COLUMN_WIDTH = 8  # bytes of a value in a chunk
COLUMN_NOT_NULL = 12
COLUMN_ERRORS = 16  # wrong form, length, validity, NULL, value
COLUMN_LENGTH = 20  # characters at most, 0: any number
COLUMN_LOW = 24  # i64
COLUMN_HIGH = 32  # i64
COLUMN_RECORD = 40
WRONG_FORM, WRONG_LENGTH, WRONG_VALIDITY, IS_NULL, BAD_VALUE = range(5)

OUTPUT_CASE = 0  # of column-data
OUTPUT_KIND = 4
OUTPUT_WIDTH = 8
OUTPUT_RECORD = 12

PIPELINE_ENTRY = 0
PIPELINE_START = 4  # entry or -1
PIPELINE_FINISH = 8
PIPELINE_SOURCE = 12  # -1: one morsel; -2: the i32 of the query block at ...; else the number of an input
PIPELINE_COUNT = 16
PIPELINE_RECORD = 20

LOOP_FIRST = 0
LOOP_LAST = 4
LOOP_OFFSET = 8
LOOP_RECORD = 12

SCAN_SLOT = 0
SCAN_INPUT = 4
SCAN_COLUMNS = 8  # number, address of ordinals
SCAN_RECORD = 16

ERROR_STATE = 0  # address of five characters
ERROR_POSITION = 4  # 0: none
ERROR_PARTS = 8  # number, address
ERROR_RECORD = 16
PART_KIND = 0
PART_TEXT = 4  # address, length
PART_RECORD = 12
LITERAL_PART, VALUE_PART, TEXT_PART = range(3)

# --- the canonical ABI's form of types of the interface ----------------------------------------
STRING = 8
VALUE_PAYLOAD = 8
VALUE_BYTES = 24
VALUES_VALIDITY = 0  # option<list<u8>>
VALUES_CASE = 12
VALUES_LIST = 16
VALUES_BYTES = 24
RESULT_PAYLOAD = 4
BATCH_SOME = 4  # of a result<option<record-batch>, error>
BATCH_ROW_COUNT = 8
BATCH_LIST = 12
ERROR_SQLSTATE = 4
ERROR_MESSAGE = 12
ERROR_HINT = 20
ERROR_HAS_POSITION = 32
ERROR_AT = 36
ERROR_RETRYABLE = 40
RESULT_BYTES = 44

# --- how a column or parameter is converted ----------------------------------------
COPIED, CHECKED_64, SINGLE, TEXTS, BLANK_TEXTS, INTERVALS = range(6)  # columns; OUTPUT: COPIED, TEXTS, INTERVALS
(AS_INTEGER, AS_DECIMAL, AS_DOUBLE, AS_SINGLE, AS_TEXT, AS_BINARY, AS_BOOLEAN, AS_DATE, AS_TIMESTAMP, AS_TIMESTAMPTZ,
 AS_TIME, AS_INTERVAL, AS_BLANK_TEXT) = range(13)  # fmt: skip

# --- cases of `value`; those of column-data are one less ----------------------------------------
(NULL, BOOLEAN, INT64, FLOAT64, TEXT, BINARY, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL, DECIMAL, UUID, JSON,
 OTHER) = range(15)  # fmt: skip

assert abi.QUERY_FREE <= RUN_HEADER
