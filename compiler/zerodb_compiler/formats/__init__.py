"""The template patterns of to_char, to_date, to_timestamp and to_number: texts to programs that kernels interpret."""
