/* Values, columns, batches and errors of zerosys:db/types, as the canonical ABI lays them out for wasm32.
 *
 * The structs here are not copied or converted on their way: a variant is a tag and a union, a list is a pointer and a
 * length, an option is a flag and a value, each field at its natural alignment, which is what C does by itself. So a
 * list of values is an array of `zdb_value`. The names follow wit/types.wit; wit-bindgen's C generator gives the same
 * structs under longer names (`wit-bindgen c wit --world guest`).
 *
 * Who owns what: what a zdb_ function gives back (rows, batches, columns, errors, strings) is yours; free it with
 * zdb_*_free. What you pass to one stays yours. Strings have a length and need no NUL.
 */
#ifndef ZERODB_TYPES_H
#define ZERODB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { char *ptr; size_t len; } zdb_string;
typedef struct { uint8_t *ptr; size_t len; } zdb_bytes;
typedef struct { zdb_string *ptr; size_t len; } zdb_strings;

/* Months and days have no fixed length, so they are counted apart. */
typedef struct { int32_t months; int32_t days; int64_t microseconds; } zdb_interval;

typedef enum {
  ZDB_NULL,
  ZDB_BOOLEAN,
  ZDB_INT64,       /* smallint, integer, bigint, and the unsigned types up to 32 bits */
  ZDB_FLOAT64,     /* real and double precision */
  ZDB_TEXT,        /* text, varchar and char */
  ZDB_BINARY,      /* bytea */
  ZDB_DATE,        /* days since 1970-01-01 */
  ZDB_TIME,        /* microseconds since midnight */
  ZDB_TIMESTAMP,   /* microseconds since 1970-01-01 00:00, of no time zone */
  ZDB_TIMESTAMPTZ, /* microseconds since 1970-01-01 00:00 UTC */
  ZDB_INTERVAL,
  ZDB_DECIMAL,     /* text, exactly as SQL prints it: "-12.50" */
  ZDB_UUID,        /* text */
  ZDB_JSON,        /* text */
  ZDB_OTHER,       /* any other type, in PostgreSQL's text form: "{1,2,NULL}" */
} zdb_kind;

typedef struct {
  uint8_t kind; /* a zdb_kind */
  union {
    bool boolean;
    int64_t int64;
    double float64;
    zdb_string text; /* also decimal, uuid, json, other */
    zdb_bytes binary;
    int32_t date;
    int64_t time; /* also timestamp, timestamptz */
    zdb_interval interval;
  };
} zdb_value;

/* One row: as many values as the result has columns. */
typedef struct { zdb_value *ptr; size_t len; } zdb_row;
typedef struct { zdb_row *ptr; size_t len; } zdb_rows;

/* A column of a result, or a parameter; the type as SQL writes it. */
typedef struct { zdb_string name; zdb_string data_type; bool nullable; } zdb_column;
typedef struct { zdb_column *ptr; size_t len; } zdb_columns;

/* The values of one column. `form` is the zdb_kind of its values, less one: there are no lists of NULL. */
typedef struct {
  bool has_validity; /* else no row is NULL */
  zdb_bytes validity; /* a bit for each row, 1 where there is a value */
  uint8_t form;
  struct {
    union {
      bool *booleans;
      int64_t *int64s; /* also times, timestamps, timestamptzs */
      double *float64s;
      zdb_string *texts; /* also decimals, uuids, jsons, others */
      zdb_bytes *binaries;
      int32_t *dates;
      zdb_interval *intervals;
      void *any;
    };
    size_t len;
  } data;
} zdb_column_values;

#define ZDB_FORM(kind) ((uint8_t)((kind) - 1))

/* Rows, column by column. All columns have `row_count` values. */
typedef struct {
  uint32_t row_count;
  struct { zdb_column_values *ptr; size_t len; } columns;
} zdb_batch;

/* Why a statement failed. */
typedef struct {
  zdb_string sqlstate;
  zdb_string message;
  struct { bool is_some; zdb_string value; } hint;
  struct { bool is_some; uint32_t value; } position; /* in characters of the statement's text, from 1 */
  bool retryable; /* whether the same transaction may succeed when it is run again */
} zdb_error;

_Static_assert(sizeof(void *) == 4, "components are wasm32");
_Static_assert(sizeof(zdb_value) == 24 && sizeof(zdb_column) == 20, "canonical ABI");
_Static_assert(sizeof(zdb_column_values) == 24 && sizeof(zdb_batch) == 12 && sizeof(zdb_error) == 40, "canonical ABI");

/* Memory: libc's where there is one, else the allocator of zerodb_memory.c. Out of memory is a trap. */
void *zdb_allocate(size_t bytes);
void zdb_release(void *block);

zdb_string zdb_string_of(const char *text);     /* borrows a C string */
zdb_string zdb_string_copy(zdb_string text);    /* a copy of its own */
zdb_string zdb_string_literal(const char *text); /* the same of a C string */
bool zdb_string_equal(zdb_string a, const char *b);
char *zdb_c_string(zdb_string text); /* a copy that ends in NUL; free with zdb_release */

/* Values; those of text borrow it. */
zdb_value zdb_null(void);
zdb_value zdb_boolean(bool value);
zdb_value zdb_int64(int64_t value);
zdb_value zdb_float64(double value);
zdb_value zdb_text(const char *value);
zdb_value zdb_text_n(const char *value, size_t len);
zdb_value zdb_binary(const void *value, size_t len);
zdb_value zdb_date(int32_t days);
zdb_value zdb_decimal(const char *value);
zdb_value zdb_of_text(zdb_kind kind, const char *value);

bool zdb_is_valid(const zdb_column_values *column, size_t row);
/* A column of `rows` values with room for all; with_validity: all rows begin as NULL. */
zdb_column_values zdb_column_new(zdb_kind kind, size_t rows, bool with_validity);
void zdb_set_valid(zdb_column_values *column, size_t row);

void zdb_string_free(zdb_string *text);
void zdb_value_free(zdb_value *value);
void zdb_row_free(zdb_row *row);
void zdb_columns_free(zdb_columns *columns);
void zdb_column_values_free(zdb_column_values *column);
void zdb_batch_free(zdb_batch *batch);
void zdb_error_free(zdb_error *error);

/* A text that grows: zero it, append, take what it became (an empty one is zeroed again). */
typedef struct { char *ptr; size_t len; size_t room; } zdb_builder;
void zdb_append(zdb_builder *builder, const char *text);
void zdb_append_n(zdb_builder *builder, const char *text, size_t len);
void zdb_append_int(zdb_builder *builder, int64_t value);
void zdb_append_value(zdb_builder *builder, const zdb_value *value); /* text forms as they are; others but float64 */
zdb_string zdb_take(zdb_builder *builder);

#endif
