// A guest that does what its arguments say (test_guest_queries.py).
// Each argument is a letter and a text:
//   o open another connection (the one that is used from then on), d drop it, x execute, s script,
//   q query by rows of 2, b query by batches of as many as N says, N set that number, p prepare, e execute the statement,
//   r query-row, c its columns and parameters, i give the next bigint parameter, t a text parameter, n a NULL parameter,
//   m execute-batch of two bigint columns with rows 1..N, B begin (isolation by number), C commit, R rollback,
//   S savepoint, T rollback to, U release, D drop the transaction, A drop statement, Q a query that is left open, w back to the connection before
#include "guest.h"
static int32_t connection, before, statement, transaction;
static value given[8]; static size_t gives, batch_rows = 1;
static void put_error(error e) {
  put_text(e.sqlstate); put(": "); put_text(e.message);
  if (e.has_position) { put(" @"); put_int(e.position); }
  if (e.retryable) put(" retryable");
  put("\n");
}
static void put_done(done d) { if (d.failed) put_error(d.error); else put("ok\n"); }
static void put_count(counted n) { if (n.failed) put_error(n.error); else { put_int(n.count); put("\n"); } }
static void put_row(values row) { for (size_t i = 0; i < row.size; i++) { if (i) put("|"); put_value(row.at[i]); } put("\n"); }
static int valid(column_values *c, size_t r) { return !c->has_validity || c->validity.at[r / 8] >> r % 8 & 1; }
static void put_batch(batch *b) {
  put("["); put_int(b->rows); put("]");
  for (size_t c = 0; c < b->columns.size; c++) {
    column_values *v = &b->columns.at[c]; put(" ");
    for (size_t r = 0; r < b->rows && r < 5; r++) {
      if (r) put(",");
      if (!valid(v, r)) put("NULL");
      else if (v->data.tag == 1 || (v->data.tag >= 6 && v->data.tag <= 8)) put_int(((int64_t *)v->data.data.at)[r]);
      else if (v->data.tag == 0) put(((uint8_t *)v->data.data.at)[r] ? "true" : "false");
      else if (v->data.tag == 2) put_int((int64_t)(((double *)v->data.data.at)[r] * 1000));
      else if (v->data.tag == 5) put_int(((int32_t *)v->data.data.at)[r]);
      else if (v->data.tag == 9) put_int(((struct { int32_t m, d; int64_t u; } *)v->data.data.at)[r].u);
      else put_text(((text *)v->data.data.at)[r]);
    }
  }
  put("\n");
}
static void put_columns(columns c) {
  for (size_t i = 0; i < c.size; i++) {
    if (i) put(", "); put_text(c.at[i].name); put(" "); put_text(c.at[i].data_type); if (!c.at[i].nullable) put(" not null"); }
  put("\n");
}
void *run(text *args, size_t count) {
  for (size_t k = 0; k < count; k++) {
    text a = {args[k].at + 1, args[k].size - 1}; made m; counted n; done d;
    switch (args[k].at[0]) {
      case 'o': connection_open(a.at, a.size, &m); if (m.failed) put_error(m.error); else { before = connection; connection = m.handle; } break;
      case 'w': { int32_t other = before; before = connection; connection = other; break; }
      case 'd': connection_drop(connection); break;
      case 'x': connection_execute(connection, a.at, a.size, given, gives, &n); put_count(n); gives = 0; break;
      case 's': connection_execute_script(connection, a.at, a.size, &d); put_done(d); break;
      case 'N': batch_rows = number(a); break;
      case 'Q': connection_query(connection, a.at, a.size, 0, 0, &m); if (m.failed) put_error(m.error); break;
      case 'q': connection_query(connection, a.at, a.size, given, gives, &m); gives = 0;
        if (m.failed) { put_error(m.error); break; }
        for (;;) { some_rows r; cursor_next_rows(m.handle, 2, &r); if (r.failed) { put_error(r.error); break; }
          if (!r.rows.size) break;
          for (size_t i = 0; i < r.rows.size; i++) put_row(r.rows.at[i]); }
        cursor_drop(m.handle); break;
      case 'b': connection_query(connection, a.at, a.size, given, gives, &m); gives = 0;
        if (m.failed) { put_error(m.error); break; }
        { columns c; cursor_columns(m.handle, &c); put_columns(c); }
        for (size_t shown = 0;; shown++) { maybe_batch b; cursor_next_batch(m.handle, batch_rows, &b);
          if (b.failed) { put_error(b.error); break; }
          if (!b.some) break;
          if (shown < 4) put_batch(&b.batch); }
        cursor_drop(m.handle); break;
      case 'p': connection_prepare(connection, a.at, a.size, &m); if (m.failed) put_error(m.error); else statement = m.handle; break;
      case 'e': statement_execute(statement, given, gives, &n); put_count(n); gives = 0; break;
      case 'r': { maybe_row r; statement_query_row(statement, given, gives, &r); gives = 0;
        if (r.failed) put_error(r.error); else if (!r.some) put("none\n"); else put_row(r.row); break; }
      case 'c': { columns c; statement_parameters(statement, &c); put_columns(c); statement_columns(statement, &c); put_columns(c); break; }
      case 'i': given[gives++] = (value){.tag = INT64, .int64 = number(a)}; break;
      case 't': given[gives++] = (value){.tag = TEXT, .text = a}; break;
      case 'n': given[gives++] = (value){.tag = NUL}; break;
      case 'm': { int64_t *v = cabi_realloc(0, 0, 8, 16 * batch_rows);
        for (size_t r = 0; r < batch_rows; r++) { v[r] = r + 1; v[batch_rows + r] = 10 * (r + 1); }
        uint8_t first = 0xfe;
        column_values c[2] = {{0, {0, 0}, {1, {v, batch_rows}}}, {a.size > 0, {&first, 1}, {1, {v + batch_rows, batch_rows}}}};
        statement_execute_batch(statement, batch_rows, c, 2, &n); put_count(n); break; }
      case 'B': transaction_begin(connection, number(a), a.size > 1, &m); if (m.failed) put_error(m.error); else transaction = m.handle; break;
      case 'C': transaction_commit(transaction, &d); put_done(d); break;
      case 'R': transaction_rollback(transaction, &d); put_done(d); break;
      case 'S': transaction_savepoint(transaction, a.at, a.size, &d); put_done(d); break;
      case 'T': transaction_rollback_to(transaction, a.at, a.size, &d); put_done(d); break;
      case 'U': transaction_release(transaction, a.at, a.size, &d); put_done(d); break;
      case 'D': transaction_drop(transaction); break;
      case 'A': statement_drop(statement); break;
    }
  }
  return say();
}
