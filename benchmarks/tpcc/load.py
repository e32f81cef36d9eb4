"""TPC-C's initial population (clause 4.3.3). With fewer rows than specified (tests) the proportions stay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from benchmarks.peers import Peer, Session
from benchmarks.tpcc.schema import DISTRICTS, INDEXES, TABLES, Scale
from benchmarks.tpcc.values import C_LAST_LOAD, Values, last_name

BATCH_ROWS = 50_000
LOADED = datetime(2026, 1, 1)
Row = tuple[Any, ...]


def load(peer: Peer, session: Session, scale: Scale, seed: int = 1) -> None:
    """Makes and fills the tables; the same rows for every peer."""
    values = Values(random.Random(seed))
    for table, columns in TABLES.items():
        session.execute(f"create table {table} ({columns})")
    _insert(session, "item", _items(peer, values, scale))
    for warehouse in range(1, scale.warehouses + 1):
        _insert(session, "warehouse", [_warehouse(peer, values, warehouse, scale)])
        _insert(session, "stock", _stock(values, warehouse, scale))
        for district in range(1, DISTRICTS + 1):
            _insert(session, "district", [_district(peer, values, warehouse, district, scale)])
            _insert(session, "customer", _customers(peer, values, warehouse, district, scale))
            _insert(session, "history", _history(peer, values, warehouse, district, scale))
            _orders(peer, session, values, warehouse, district, scale)
    for statement in INDEXES:
        session.execute(statement)


def _insert(session: Session, table: str, rows: Any) -> None:
    rest: Iterator[Row] = iter(rows)
    while batch := list(islice(rest, BATCH_ROWS)):
        session.executemany(f"insert into {table} values ({', '.join('?' * len(batch[0]))})", batch)


def _items(peer: Peer, values: Values, scale: Scale) -> Iterator[Row]:
    for item in range(1, scale.items + 1):
        price = peer.money(values.between(100, 10_000))
        yield item, values.between(1, 10_000), values.letters(14, 24), price, values.data()


def _address(values: Values) -> Row:
    streets = values.letters(10, 20), values.letters(10, 20), values.letters(10, 20)
    return (*streets, values.letters(2, 2), values.zip_code())


def _warehouse(peer: Peer, values: Values, warehouse: int, scale: Scale) -> Row:
    paid = peer.money(1000 * scale.customers * DISTRICTS)
    tax = peer.fraction(values.between(0, 2000))
    return warehouse, values.letters(6, 10), *_address(values), tax, paid


def _district(peer: Peer, values: Values, warehouse: int, district: int, scale: Scale) -> Row:
    paid = peer.money(1000 * scale.customers)
    tax = peer.fraction(values.between(0, 2000))
    return district, warehouse, values.letters(6, 10), *_address(values), tax, paid, scale.customers + 1


def _stock(values: Values, warehouse: int, scale: Scale) -> Iterator[Row]:
    for item in range(1, scale.items + 1):
        info = [values.letters(24, 24) for _ in range(DISTRICTS)]
        yield item, warehouse, values.between(10, 100), *info, 0, 0, 0, values.data()


def _customers(peer: Peer, values: Values, warehouse: int, district: int, scale: Scale) -> Iterator[Row]:
    since = peer.moment(LOADED)
    for customer in range(1, scale.customers + 1):
        name = last_name(customer - 1) if customer <= 1000 else values.name(1000, C_LAST_LOAD)
        credit = "BC" if values.random.random() < 0.1 else "GC"
        discount = peer.fraction(values.between(0, 5000))
        yield (
            *(customer, district, warehouse, values.letters(8, 16), "OE", name),
            *(*_address(values), values.digits(16), since, credit, peer.money(5_000_000), discount),
            *(peer.money(-1000), peer.money(1000), 1, 0, values.letters(300, 500)),
        )


def _history(peer: Peer, values: Values, warehouse: int, district: int, scale: Scale) -> Iterator[Row]:
    paid, now = peer.money(1000), peer.moment(LOADED)
    for customer in range(1, scale.customers + 1):
        yield customer, district, warehouse, district, warehouse, now, paid, values.letters(12, 24)


def _orders(peer: Peer, session: Session, values: Values, warehouse: int, district: int, scale: Scale) -> None:
    now = peer.moment(LOADED)
    customers = list(range(1, scale.customers + 1))
    values.random.shuffle(customers)
    first_open = scale.customers - scale.undelivered + 1
    orders: list[Row] = []
    lines: list[Row] = []
    for order, customer in enumerate(customers, 1):
        is_open = order >= first_open
        count = values.between(5, 15)
        carrier = None if is_open else values.between(1, 10)
        orders.append((order, district, warehouse, customer, now, carrier, count, 1))
        for number in range(1, count + 1):
            amount = peer.money(values.between(1, 999_999) if is_open else 0)
            item, delivered = values.between(1, scale.items), None if is_open else now
            info = values.letters(24, 24)
            lines.append((order, district, warehouse, number, item, warehouse, delivered, 5, amount, info))
    _insert(session, "orders", orders)
    _insert(session, "order_line", lines)
    _insert(session, "new_order", [(order, district, warehouse) for order in range(first_open, scale.customers + 1)])
