/* What the worlds of functions share: describe, and errors. */
#ifndef ZERODB_WORLDS_FUNCTIONS_H
#define ZERODB_WORLDS_FUNCTIONS_H

#include "zerodb_functions.h"

#define EXPORT(name) __attribute__((export_name(name)))

typedef struct {
  zdb_string name;
  zdb_columns arguments;
  zdb_columns results;
  uint8_t volatility;
  bool strict;
} zdb_signature;

typedef struct { zdb_signature *ptr; size_t len; } zdb_signatures;

typedef struct {
  zdb_string message;
  struct { bool is_some; zdb_string value; } sqlstate;
  struct { bool is_some; uint32_t value; } row;
} zdb_raised;

static inline size_t zdb_count(const zdb_typed *list) {
  size_t n = 0;
  while (list && list[n].name) n++;
  return n;
}

static inline zdb_columns zdb_described(const zdb_typed *list, bool nullable) {
  size_t n = zdb_count(list);
  zdb_columns columns = {n ? zdb_allocate(n * sizeof(zdb_column)) : (void *)4, n};
  for (size_t i = 0; i < n; i++)
    columns.ptr[i] = (zdb_column){zdb_string_literal(list[i].name), zdb_string_literal(list[i].data_type), nullable};
  return columns;
}

static inline zdb_signatures zdb_describe_all(void) {
  size_t n = 0;
  while (zdb_functions[n].name) n++;
  zdb_signatures all = {n ? zdb_allocate(n * sizeof(zdb_signature)) : (void *)4, n};
  for (size_t i = 0; i < n; i++) {
    const zdb_function *f = &zdb_functions[i];
    all.ptr[i] = (zdb_signature){zdb_string_literal(f->name), zdb_described(f->arguments, !f->strict),
                                 zdb_described(f->results, true), (uint8_t)f->volatility, f->strict};
  }
  return all;
}

static inline void zdb_signatures_free(zdb_signatures *all) {
  for (size_t i = 0; i < all->len; i++) {
    zdb_string_free(&all->ptr[i].name);
    zdb_columns_free(&all->ptr[i].arguments);
    zdb_columns_free(&all->ptr[i].results);
  }
  if (all->len) zdb_release(all->ptr);
}

static inline zdb_raised zdb_raise(zdb_function_error error) {
  zdb_raised raised = {.message = zdb_string_literal(error.message ? error.message : "the function failed")};
  if (error.sqlstate) {
    raised.sqlstate.is_some = true;
    raised.sqlstate.value = zdb_string_literal(error.sqlstate);
  }
  if (error.row >= 0) {
    raised.row.is_some = true;
    raised.row.value = (uint32_t)error.row;
  }
  return raised;
}

static inline void zdb_raised_free(zdb_raised *raised) {
  zdb_string_free(&raised->message);
  if (raised->sqlstate.is_some) zdb_string_free(&raised->sqlstate.value);
}

#define ZDB_NO_ERROR ((zdb_function_error){.row = -1})

#endif
