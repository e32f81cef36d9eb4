/* The export of the world `guest`: calls zdb_run, the program. */
#include "zerodb_guest.h"

static struct { uint8_t is_error; zdb_string text; } result;

__attribute__((export_name("run"))) void *guest_run(zdb_string *arguments, size_t count) {
  result.text = (zdb_string){0};
  result.is_error = !zdb_run((zdb_strings){arguments, count}, &result.text);
  for (size_t i = 0; i < count; i++) zdb_string_free(&arguments[i]);
  if (count) zdb_release(arguments);
  return &result;
}

__attribute__((export_name("cabi_post_run"))) void guest_post_run(void *returned) {
  (void)returned;
  zdb_string_free(&result.text);
}
