"""The library that generated code calls: typed Python functions, compiled to WebAssembly into the module that needs
them.

`compiler.kernel(module, f)` gives f as a function of the module; intrinsics.py is the language. A kernel is a pure
function over linear memory. Conventions:

    text            (address i32, byte length i32), UTF-8, readable 16 bytes past its end
    worker          address of the worker block, first parameter of all that allocates; texts that are built live in the
                    worker's scratch memory until the end of the morsel; address 0 in a result: out of memory
    status          last result, an i32 of errors.py, 0 for success; the other results are then meaningless
    int128          (low i64, high i64)
    dates           days as i64; timestamps: microseconds as i64
    bool            i32, 0 or 1

    memory          arena_allocate(worker, bytes) -> address        scratch(worker, bytes) -> address
                    copy_text_to_arena(worker, text) -> address
    hashing         hash_i64(x)  hash_i128(low, high)  hash_text(text)  combine(h, h2) -> i64
    text            equal_text  starts_with  ends_with  contains (text, text) -> bool   compare_text -> i32 (<0, 0, >0)
                    find_text(text, text) -> byte offset or -1      strpos(text, text) -> character from 1, or 0
                    char_length(text) -> i32    is_ascii(text) -> bool
                    substring(text, start i64, count i64) -> text, status      substring_from(text, start i64) -> text
                    left  right (text, count i64) -> text
                    trim  ltrim  rtrim (text, characters text) -> text; trim_spaces  ltrim_spaces  rtrim_spaces
    text_building   lower  upper (worker, text) -> text             concat(worker, text, text) -> text
                    repeat(worker, text, count i64) -> text         replace(worker, text, old, new) -> text
    patterns        like(text, pattern text, escape byte or -1) -> bool, status
                    ilike(worker, text, pattern, escape) -> bool, status
    dates           civil_from_days(days) -> y, m, d    days_from_civil(y, m, d) -> days
                    timestamp_days(t) -> days   timestamp_time(t) -> microseconds of the day
                    extract_year month day quarter dow isodow doy week (days)    extract_hour minute second (t) -> i64
                    date_add_months(days, months) -> days, status    timestamp_add_months(t, months) -> t, status
                    date_to_timestamp(days) -> t, status             date_trunc_<unit>(t) -> t
    int128          add  subtract  multiply (a, b) -> int128, overflow      compare(a, b) -> -1, 0, 1
                    divide_truncating  remainder (a, b) -> int128           divide_rounding(a, b) -> int128, overflow
                    scale_divide(a, factor, b) -> int128, overflow          (a * factor / b, half away from zero)
                    scale_up(a, digits) -> int128, overflow    scale_down(a, digits) -> int128 (half away from zero)
                    divide_unsigned(a, b) -> quotient, remainder            fits_precision(a, digits) -> bool
                    absolute(a) -> int128, overflow    to_f64(a)    from_f64(x) -> int128    digits_of(a) -> i32
    formatting      format_i64(worker, x)  format_decimal(worker, int128, scale)  format_f64  format_f32 (worker, x f64)
                    format_date(worker, days)  format_timestamp(worker, t)  format_bool(worker, b) -> text
    parsing         parse_integer(text) -> int128, status       parse_decimal(text, scale) -> int128, status
                    parse_f64(text)  parse_f32(text) -> f64, status         f64_to_real(x) -> f64, status
                    parse_date(text) -> days, status    parse_timestamp(text) -> t, status
                    parse_bool(text) -> bool, status
    powers          power_128(k) -> int128 (leading bits of 10**k)
    floats          exp  ln  log10  square_root (x) -> f64, status          power(x, y) -> f64, status
    float_decimals  f64_to_decimal  f32_to_decimal (x, scale) -> int128, status    (rounds as PostgreSQL)
                    decimal_to_f64  decimal_to_f32 (int128, scale) -> f64   (nearest)
    regex           find(code, start, end, from, captures) -> 1 or 0; regex_functions, regex_arrays: what SQL calls
    derived         derived(worker, field, kind, text) -> the program that the host's compiler makes of a text
    text_functions  padding, splitting, quoting, format; text_codes: encode, decode; digests: md5, sha224 ... sha512
    text_buffer     texts of unknown length under construction
    number_format   number_input  date_format  date_input: to_char, to_number, to_date, to_timestamp
    trigonometry    sin ... atan2d (x) -> f64, status, over double_double (pairs); integers: gcd, factorial, random bits
    float_remainder float_remainder(x, y) -> f64    (C's fmod)
"""
