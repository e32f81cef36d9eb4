/* __NAME__: functions for FROM.
 *
 * create function words(text text) returns table(word text, place bigint) language wasm as '__NAME__.wasm';
 * select * from words('to be or not to be');
 */
#include "zerodb_functions.h"

static const zdb_typed words_takes[] = {{"text", "text"}, {0}};
static const zdb_typed words_gives[] = {{"word", "text"}, {"place", "bigint"}, {0}};
const zdb_function zdb_functions[] = {{"words", words_takes, words_gives, ZDB_IMMUTABLE, true}, {0}};

typedef struct { zdb_string text; size_t at; int64_t place; } words;

/* Called once for each set of arguments; what it makes of them is given to `next` until there are no more rows. */
bool zdb_table_start(zdb_string name, const zdb_row *arguments, void **state, zdb_function_error *error) {
  if (!zdb_string_equal(name, "words")) {
    error->message = "there is no such function";
    return false;
  }
  words *made = zdb_allocate(sizeof *made);
  *made = (words){{(char *)1, 0}, 0, 0};
  if (arguments->ptr[0].kind == ZDB_TEXT) made->text = zdb_string_copy(arguments->ptr[0].text);
  *state = made;
  return true;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool next_word(words *w, zdb_string *word) {
  while (w->at < w->text.len && is_space(w->text.ptr[w->at])) w->at++;
  size_t begin = w->at;
  while (w->at < w->text.len && !is_space(w->text.ptr[w->at])) w->at++;
  *word = (zdb_string){w->text.ptr + begin, w->at - begin};
  return word->len > 0;
}

bool zdb_table_next(void *state, uint32_t max_rows, zdb_batch *batch, bool *more, zdb_function_error *error) {
  (void)error;
  words *w = state, ahead = *w;
  zdb_string word;
  uint32_t rows = 0;
  while (rows < max_rows && next_word(&ahead, &word)) rows++;
  *more = rows > 0;
  if (!*more) return true;
  batch->row_count = rows;
  batch->columns.ptr = zdb_allocate(2 * sizeof(zdb_column_values));
  batch->columns.len = 2;
  batch->columns.ptr[0] = zdb_column_new(ZDB_TEXT, rows, false);
  batch->columns.ptr[1] = zdb_column_new(ZDB_INT64, rows, false);
  for (uint32_t row = 0; row < rows && next_word(w, &word); row++) {
    batch->columns.ptr[0].data.texts[row] = zdb_string_copy(word);
    batch->columns.ptr[1].data.int64s[row] = ++w->place;
  }
  return true;
}

void zdb_table_end(void *state) {
  words *w = state;
  zdb_string_free(&w->text);
  zdb_release(w);
}
