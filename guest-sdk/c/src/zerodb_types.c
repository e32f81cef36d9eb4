/* Making, asking and freeing values: see zerodb_types.h. */
#include "zerodb_types.h"

static void copy(void *to, const void *from, size_t n) {
  if (n) __builtin_memcpy(to, from, n);
}

static size_t length_of(const char *text) {
  size_t n = 0;
  while (text[n]) n++;
  return n;
}

/* A list of no elements has a pointer that is no block (see cabi_realloc). */
static void release_list(void *ptr, size_t len) {
  if (len) zdb_release(ptr);
}

zdb_string zdb_string_of(const char *text) { return (zdb_string){(char *)text, length_of(text)}; }

zdb_string zdb_string_copy(zdb_string text) {
  zdb_string made = {text.len ? zdb_allocate(text.len) : (char *)1, text.len};
  copy(made.ptr, text.ptr, text.len);
  return made;
}

zdb_string zdb_string_literal(const char *text) { return zdb_string_copy(zdb_string_of(text)); }

bool zdb_string_equal(zdb_string a, const char *b) {
  size_t i = 0;
  for (; i < a.len; i++)
    if (!b[i] || a.ptr[i] != b[i]) return false;
  return !b[i];
}

char *zdb_c_string(zdb_string text) {
  char *made = zdb_allocate(text.len + 1);
  copy(made, text.ptr, text.len);
  made[text.len] = 0;
  return made;
}

zdb_value zdb_null(void) { return (zdb_value){.kind = ZDB_NULL}; }
zdb_value zdb_boolean(bool value) { return (zdb_value){.kind = ZDB_BOOLEAN, .boolean = value}; }
zdb_value zdb_int64(int64_t value) { return (zdb_value){.kind = ZDB_INT64, .int64 = value}; }
zdb_value zdb_float64(double value) { return (zdb_value){.kind = ZDB_FLOAT64, .float64 = value}; }
zdb_value zdb_text(const char *value) { return zdb_of_text(ZDB_TEXT, value); }
zdb_value zdb_decimal(const char *value) { return zdb_of_text(ZDB_DECIMAL, value); }
zdb_value zdb_date(int32_t days) { return (zdb_value){.kind = ZDB_DATE, .date = days}; }

zdb_value zdb_text_n(const char *value, size_t len) {
  return (zdb_value){.kind = ZDB_TEXT, .text = {(char *)value, len}};
}

zdb_value zdb_binary(const void *value, size_t len) {
  return (zdb_value){.kind = ZDB_BINARY, .binary = {(uint8_t *)value, len}};
}

zdb_value zdb_of_text(zdb_kind kind, const char *value) {
  return (zdb_value){.kind = (uint8_t)kind, .text = zdb_string_of(value)};
}

static bool is_textual(zdb_kind kind) { return kind == ZDB_TEXT || kind == ZDB_BINARY || kind >= ZDB_DECIMAL; }

static size_t width_of(zdb_kind kind) {
  switch (kind) {
    case ZDB_BOOLEAN: return sizeof(bool);
    case ZDB_DATE: return sizeof(int32_t);
    case ZDB_INTERVAL: return sizeof(zdb_interval);
    default: return 8;
  }
}

bool zdb_is_valid(const zdb_column_values *column, size_t row) {
  return !column->has_validity || (column->validity.ptr[row >> 3] >> (row & 7) & 1);
}

zdb_column_values zdb_column_new(zdb_kind kind, size_t rows, bool with_validity) {
  zdb_column_values column = {.form = ZDB_FORM(kind)};
  size_t bytes = rows * width_of(kind);
  column.data.any = (void *)8; /* what a list of no elements points to */
  column.data.len = rows;
  column.has_validity = with_validity;
  if (!rows) return column;
  column.data.any = zdb_allocate(bytes);
  __builtin_memset(column.data.any, 0, bytes);
  if (with_validity) {
    column.validity = (zdb_bytes){zdb_allocate((rows + 7) / 8), (rows + 7) / 8};
    __builtin_memset(column.validity.ptr, 0, column.validity.len);
  }
  return column;
}

void zdb_set_valid(zdb_column_values *column, size_t row) {
  if (column->has_validity) column->validity.ptr[row >> 3] |= (uint8_t)(1 << (row & 7));
}

void zdb_string_free(zdb_string *text) {
  release_list(text->ptr, text->len);
  *text = (zdb_string){0};
}

void zdb_value_free(zdb_value *value) {
  if (is_textual(value->kind)) release_list(value->text.ptr, value->text.len);
  *value = zdb_null();
}

void zdb_row_free(zdb_row *row) {
  for (size_t i = 0; i < row->len; i++) zdb_value_free(&row->ptr[i]);
  release_list(row->ptr, row->len);
  *row = (zdb_row){0};
}

void zdb_columns_free(zdb_columns *columns) {
  for (size_t i = 0; i < columns->len; i++) {
    zdb_string_free(&columns->ptr[i].name);
    zdb_string_free(&columns->ptr[i].data_type);
  }
  release_list(columns->ptr, columns->len);
  *columns = (zdb_columns){0};
}

void zdb_column_values_free(zdb_column_values *column) {
  if (is_textual(column->form + 1))
    for (size_t i = 0; i < column->data.len; i++) zdb_string_free(&column->data.texts[i]);
  release_list(column->data.any, column->data.len);
  if (column->has_validity) release_list(column->validity.ptr, column->validity.len);
  *column = (zdb_column_values){0};
}

void zdb_batch_free(zdb_batch *batch) {
  for (size_t i = 0; i < batch->columns.len; i++) zdb_column_values_free(&batch->columns.ptr[i]);
  release_list(batch->columns.ptr, batch->columns.len);
  *batch = (zdb_batch){0};
}

void zdb_error_free(zdb_error *error) {
  zdb_string_free(&error->sqlstate);
  zdb_string_free(&error->message);
  if (error->hint.is_some) zdb_string_free(&error->hint.value);
}

void zdb_append_n(zdb_builder *builder, const char *text, size_t len) {
  if (builder->len + len > builder->room) {
    size_t room = (builder->len + len) * 2;
    char *moved = zdb_allocate(room);
    copy(moved, builder->ptr, builder->len);
    zdb_release(builder->ptr);
    builder->ptr = moved;
    builder->room = room;
  }
  copy(builder->ptr + builder->len, text, len);
  builder->len += len;
}

void zdb_append(zdb_builder *builder, const char *text) { zdb_append_n(builder, text, length_of(text)); }

void zdb_append_int(zdb_builder *builder, int64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do digits[--at] = (char)('0' + rest % 10); while (rest /= 10);
  if (value < 0) digits[--at] = '-';
  zdb_append_n(builder, digits + at, sizeof digits - at);
}

void zdb_append_value(zdb_builder *builder, const zdb_value *value) {
  switch (value->kind) {
    case ZDB_NULL: zdb_append(builder, "NULL"); break;
    case ZDB_BOOLEAN: zdb_append(builder, value->boolean ? "true" : "false"); break;
    case ZDB_DATE: zdb_append_int(builder, value->date); break;
    case ZDB_INT64: case ZDB_TIME: case ZDB_TIMESTAMP: case ZDB_TIMESTAMPTZ: zdb_append_int(builder, value->int64); break;
    case ZDB_FLOAT64: case ZDB_INTERVAL: case ZDB_BINARY: __builtin_trap(); /* have no text without a libc */
    default: zdb_append_n(builder, value->text.ptr, value->text.len);
  }
}

zdb_string zdb_take(zdb_builder *builder) {
  zdb_string taken = {builder->ptr, builder->len};
  if (!builder->len && builder->ptr) zdb_release(builder->ptr);
  *builder = (zdb_builder){0};
  return taken;
}
