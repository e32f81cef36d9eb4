"""Sums for the statistics of one variable and of pairs, by the method of Youngs and Cramer.

E. A. Youngs and E. M. Cramer, "Some Results Relevant to Choice of Sum and Sum-of-Product Algorithms", Technometrics 13
(1971): the sums of squared deviations grow with each row, without the cancellation of sum(x*x) - sum(x)**2/n. States
of two workers are put together by the formula of Chan, Golub and LeVeque (1979). Results where a row is infinite or NaN
are those of PostgreSQL: the deviations become NaN; finite rows whose sums overflow are error 22003.

    state of pairs       n (f64) | sum x | sum of squared deviations of x | sum y | the same of y | of the products
    state of one value   n (f64) | sum x | sum of squared deviations of x
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import f64, fabs, i32, inline, load_f64, ptr, sqrt, store_f64

N, SUM_X, SQUARES_X, SUM_Y, SQUARES_Y, PRODUCTS = 0, 8, 16, 24, 32, 40
MOMENTS_BYTES = 24
PAIRS_BYTES = 48
INFINITY = 1e999
NAN = INFINITY - INFINITY


@inline
def is_finite(x: f64) -> i32:
    return fabs(x) < INFINITY


def add_value(state: ptr, x: f64) -> i32:
    """Takes x into the state of one value; a status."""
    n = load_f64(state, N) + 1.0
    old = load_f64(state, SUM_X)
    total = old + x
    squares = load_f64(state, SQUARES_X)
    if n > 1.0:
        deviation = x * n - total
        squares = squares + deviation * deviation / (n * (n - 1.0))
        if is_finite(total) == 0 or is_finite(squares) == 0:
            if is_finite(old) and is_finite(x):
                return errors.OVERFLOW
            squares = NAN
    elif is_finite(x) == 0:
        squares = NAN
    store_f64(state, n, N)
    store_f64(state, total, SUM_X)
    store_f64(state, squares, SQUARES_X)
    return 0


def add_pair(state: ptr, y: f64, x: f64) -> i32:
    """Takes (y, x) into the state of pairs; a status."""
    n = load_f64(state, N) + 1.0
    old_x = load_f64(state, SUM_X)
    old_y = load_f64(state, SUM_Y)
    sum_x = old_x + x
    sum_y = old_y + y
    squares_x = load_f64(state, SQUARES_X)
    squares_y = load_f64(state, SQUARES_Y)
    products = load_f64(state, PRODUCTS)
    if n > 1.0:
        deviation_x = x * n - sum_x
        deviation_y = y * n - sum_y
        scale = 1.0 / (n * (n - 1.0))
        squares_x = squares_x + deviation_x * deviation_x * scale
        squares_y = squares_y + deviation_y * deviation_y * scale
        products = products + deviation_x * deviation_y * scale
        finite_x = is_finite(old_x) & is_finite(x)
        finite_y = is_finite(old_y) & is_finite(y)
        if is_finite(sum_x) == 0 or is_finite(squares_x) == 0:
            if finite_x:
                return errors.OVERFLOW
            squares_x = NAN
        if is_finite(sum_y) == 0 or is_finite(squares_y) == 0:
            if finite_y:
                return errors.OVERFLOW
            squares_y = NAN
        if is_finite(products) == 0:
            if finite_x & finite_y:
                return errors.OVERFLOW
            products = NAN
    else:
        if is_finite(x) == 0:
            squares_x = NAN
            products = NAN
        if is_finite(y) == 0:
            squares_y = NAN
            products = NAN
    store_f64(state, n, N)
    store_f64(state, sum_x, SUM_X)
    store_f64(state, squares_x, SQUARES_X)
    store_f64(state, sum_y, SUM_Y)
    store_f64(state, squares_y, SQUARES_Y)
    store_f64(state, products, PRODUCTS)
    return 0


def merge_values(state: ptr, other: ptr) -> i32:
    """Takes another state of one value in; a status."""
    n = load_f64(state, N)
    m = load_f64(other, N)
    if m == 0.0:
        return 0
    sum_x = load_f64(state, SUM_X)
    other_x = load_f64(other, SUM_X)
    squares = load_f64(state, SQUARES_X) + load_f64(other, SQUARES_X)
    if n > 0.0:
        difference = sum_x / n - other_x / m
        squares = squares + n * m * difference * difference / (n + m)
        if is_finite(squares) == 0 and is_finite(sum_x) and is_finite(other_x) and squares == squares:
            return errors.OVERFLOW
    store_f64(state, n + m, N)
    store_f64(state, sum_x + other_x, SUM_X)
    store_f64(state, squares, SQUARES_X)
    return 0


def merge_pairs(state: ptr, other: ptr) -> i32:
    """Takes another state of pairs in; a status."""
    n = load_f64(state, N)
    m = load_f64(other, N)
    if m == 0.0:
        return 0
    sum_x = load_f64(state, SUM_X)
    sum_y = load_f64(state, SUM_Y)
    other_x = load_f64(other, SUM_X)
    other_y = load_f64(other, SUM_Y)
    squares_x = load_f64(state, SQUARES_X) + load_f64(other, SQUARES_X)
    squares_y = load_f64(state, SQUARES_Y) + load_f64(other, SQUARES_Y)
    products = load_f64(state, PRODUCTS) + load_f64(other, PRODUCTS)
    if n > 0.0:
        weight = n * m / (n + m)
        difference_x = sum_x / n - other_x / m
        difference_y = sum_y / n - other_y / m
        squares_x = squares_x + weight * difference_x * difference_x
        squares_y = squares_y + weight * difference_y * difference_y
        products = products + weight * difference_x * difference_y
        finite = is_finite(sum_x) & is_finite(other_x) & is_finite(sum_y) & is_finite(other_y)
        infinite = (fabs(squares_x) == INFINITY) | (fabs(squares_y) == INFINITY) | (fabs(products) == INFINITY)
        if finite & infinite:
            return errors.OVERFLOW
    store_f64(state, n + m, N)
    store_f64(state, sum_x + other_x, SUM_X)
    store_f64(state, squares_x, SQUARES_X)
    store_f64(state, sum_y + other_y, SUM_Y)
    store_f64(state, squares_y, SQUARES_Y)
    store_f64(state, products, PRODUCTS)
    return 0


def variance(state: ptr, sample: i32, root: i32) -> tuple[f64, i32]:
    """(value, is NULL) of var_pop, var_samp (`sample`), and their roots, from the state of one value."""
    divisor = load_f64(state, N)
    if sample:
        divisor = divisor - 1.0
    if divisor <= 0.0:
        return 0.0, 1
    value = load_f64(state, SQUARES_X) / divisor
    if root:
        value = sqrt(value)
    return value, 0


def correlation(state: ptr) -> tuple[f64, i32]:
    squares_x = load_f64(state, SQUARES_X)
    squares_y = load_f64(state, SQUARES_Y)
    if load_f64(state, N) < 1.0 or squares_x == 0.0 or squares_y == 0.0:
        return 0.0, 1
    return load_f64(state, PRODUCTS) / sqrt(squares_x * squares_y), 0


def covariance(state: ptr, sample: i32) -> tuple[f64, i32]:
    divisor = load_f64(state, N)
    if sample:
        divisor = divisor - 1.0
    if divisor <= 0.0:
        return 0.0, 1
    return load_f64(state, PRODUCTS) / divisor, 0


def determination(state: ptr) -> tuple[f64, i32]:
    """regr_r2."""
    squares_x = load_f64(state, SQUARES_X)
    squares_y = load_f64(state, SQUARES_Y)
    products = load_f64(state, PRODUCTS)
    if load_f64(state, N) < 1.0 or squares_x == 0.0:
        return 0.0, 1
    if squares_y == 0.0:
        return 1.0, 0
    return products * products / (squares_x * squares_y), 0


def slope(state: ptr) -> tuple[f64, i32]:
    squares_x = load_f64(state, SQUARES_X)
    if load_f64(state, N) < 1.0 or squares_x == 0.0:
        return 0.0, 1
    return load_f64(state, PRODUCTS) / squares_x, 0


def intercept(state: ptr) -> tuple[f64, i32]:
    n = load_f64(state, N)
    squares_x = load_f64(state, SQUARES_X)
    if n < 1.0 or squares_x == 0.0:
        return 0.0, 1
    return (load_f64(state, SUM_Y) - load_f64(state, SUM_X) * load_f64(state, PRODUCTS) / squares_x) / n, 0


def plain(state: ptr, field: i32, mean: i32) -> tuple[f64, i32]:
    """A field of the state of pairs, divided by n for a mean."""
    n = load_f64(state, N)
    if n < 1.0:
        return 0.0, 1
    value = load_f64(state + field, 0)
    if mean:
        value = value / n
    return value, 0
