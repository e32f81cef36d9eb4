/* Functions that SQL calls, written in C. Define those of your world; its .c file in src/ exports them.
 *
 * What you give back (columns, texts, lists) must be blocks of their own (zdb_allocate, zdb_column_new,
 * zdb_string_literal): they are freed after the call. Arguments are freed for you, too.
 */
#ifndef ZERODB_FUNCTIONS_H
#define ZERODB_FUNCTIONS_H

#include "zerodb_types.h"

typedef enum { ZDB_VOLATILE, ZDB_STABLE, ZDB_IMMUTABLE } zdb_volatility;

typedef struct { const char *name; const char *data_type; } zdb_typed;

/* What SQL is told of a function. Lists end with an entry whose name is NULL. */
typedef struct {
  const char *name;
  const zdb_typed *arguments;
  const zdb_typed *results; /* one, but for a table function */
  zdb_volatility volatility;
  bool strict; /* left out, and NULL, where an argument is NULL */
} zdb_function;

typedef struct {
  const char *message;  /* a C string that stays */
  const char *sqlstate; /* or NULL */
  int64_t row;          /* of the batch, from 0; -1: none in particular */
} zdb_function_error;

/* All worlds but `trigger`: the functions of the component, up to one whose name is NULL. */
extern const zdb_function zdb_functions[];

/* scalar_udf_world.c: a value for each row. */
bool zdb_call_scalar(zdb_string name, const zdb_batch *arguments, zdb_column_values *result, zdb_function_error *error);

/* table_udf_world.c: `state` is yours, made by start (NULL is fine) and freed by end; `more` false ends the rows. */
bool zdb_table_start(zdb_string name, const zdb_row *arguments, void **state, zdb_function_error *error);
bool zdb_table_next(void *state, uint32_t max_rows, zdb_batch *batch, bool *more, zdb_function_error *error);
void zdb_table_end(void *state);

/* aggregate_udf_world.c: `state` holds all groups of one worker. Row r belongs to groups[r] < group_count. */
bool zdb_aggregate_start(zdb_string name, void **state, zdb_function_error *error);
bool zdb_aggregate_update(void *state, uint32_t group_count, const uint32_t *groups, const zdb_batch *arguments,
                          zdb_function_error *error);
bool zdb_aggregate_finish(void *state, zdb_column_values *result, zdb_function_error *error);
void zdb_aggregate_end(void *state);

/* trigger_world.c */
typedef enum { ZDB_INSERT, ZDB_UPDATE, ZDB_DELETE } zdb_operation;
typedef enum { ZDB_BEFORE, ZDB_AFTER } zdb_timing;

typedef struct {
  zdb_string trigger;
  zdb_string table;
  zdb_timing timing;
  zdb_operation operation;
  zdb_columns columns;
  const zdb_batch *old; /* NULL for INSERT */
  const zdb_batch *new_; /* NULL for DELETE */
} zdb_event;

typedef struct {
  enum { ZDB_KEEP, ZDB_REPLACE, ZDB_FILTER } kind;
  zdb_batch replacement; /* as many rows, with the same columns */
  zdb_bytes filter;      /* only the rows whose bit is set */
} zdb_decision;

bool zdb_call_trigger(const zdb_event *event, zdb_decision *decision, zdb_function_error *error);
/* The column of that name, or -1. */
int zdb_event_column(const zdb_event *event, const char *name);

#endif
