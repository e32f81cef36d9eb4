"""TPC-C's consistency conditions (clause 3.3.2), each as a query for what violates it.

Condition 11 is about the initial population only. Amounts are compared to half a cent, for peers that keep them as
floating-point numbers.
"""

from __future__ import annotations

from typing import Any

from benchmarks.peers import Session

_DISTRICT_ORDERS = (
    "select o_w_id, o_d_id, max(o_id) as last, sum(o_ol_cnt) as lines from orders group by o_w_id, o_d_id"
)
_DELIVERED = """
    select o_w_id, o_d_id, o_c_id, sum(ol_amount) as amount
    from orders join order_line on ol_w_id = o_w_id and ol_d_id = o_d_id and ol_o_id = o_id
    where ol_delivery_d is not null group by o_w_id, o_d_id, o_c_id"""
_PAID = """
    select h_c_w_id, h_c_d_id, h_c_id, sum(h_amount) as amount
    from history group by h_c_w_id, h_c_d_id, h_c_id"""
_OF_CUSTOMER = f"""
    left join ({_DELIVERED}) d on d.o_w_id = c_w_id and d.o_d_id = c_d_id and d.o_c_id = c_id
    left join ({_PAID}) p on p.h_c_w_id = c_w_id and p.h_c_d_id = c_d_id and p.h_c_id = c_id"""

CONDITIONS = {
    1: """select w_id from warehouse
        join (select d_w_id, sum(d_ytd) as paid from district group by d_w_id) d on d_w_id = w_id
        where abs(w_ytd - paid) > 0.005""",
    2: f"""select d_w_id, d_id from district
        left join ({_DISTRICT_ORDERS}) o on o.o_w_id = d_w_id and o.o_d_id = d_id
        left join (select no_w_id, no_d_id, max(no_o_id) as last from new_order group by no_w_id, no_d_id) n
            on n.no_w_id = d_w_id and n.no_d_id = d_id
        where d_next_o_id - 1 <> coalesce(o.last, 0) or n.last <> coalesce(o.last, 0)""",
    3: """select no_w_id, no_d_id from new_order group by no_w_id, no_d_id
        having max(no_o_id) - min(no_o_id) + 1 <> count(*)""",
    4: f"""select o_w_id, o_d_id from ({_DISTRICT_ORDERS}) o
        left join (select ol_w_id, ol_d_id, count(*) as lines from order_line group by ol_w_id, ol_d_id) l
            on ol_w_id = o_w_id and ol_d_id = o_d_id
        where o.lines <> coalesce(l.lines, 0)""",
    5: """select o_w_id, o_d_id, o_id from orders
        left join new_order on no_w_id = o_w_id and no_d_id = o_d_id and no_o_id = o_id
        where (o_carrier_id is null) <> (no_o_id is not null)
        union all select no_w_id, no_d_id, no_o_id from new_order
        left join orders on no_w_id = o_w_id and no_d_id = o_d_id and no_o_id = o_id where o_id is null""",
    6: """select o_w_id, o_d_id, o_id from orders
        left join (select ol_w_id, ol_d_id, ol_o_id, count(*) as lines from order_line
            group by ol_w_id, ol_d_id, ol_o_id) l on ol_w_id = o_w_id and ol_d_id = o_d_id and ol_o_id = o_id
        where o_ol_cnt <> coalesce(lines, 0)""",
    7: """select ol_w_id, ol_d_id, ol_o_id from order_line
        join orders on o_w_id = ol_w_id and o_d_id = ol_d_id and o_id = ol_o_id
        where (ol_delivery_d is null) <> (o_carrier_id is null)""",
    8: """select w_id from warehouse
        join (select h_w_id, sum(h_amount) as paid from history group by h_w_id) h on h_w_id = w_id
        where abs(w_ytd - paid) > 0.005""",
    9: """select d_w_id, d_id from district
        join (select h_w_id, h_d_id, sum(h_amount) as paid from history group by h_w_id, h_d_id) h
            on h_w_id = d_w_id and h_d_id = d_id
        where abs(d_ytd - paid) > 0.005""",
    10: f"""select c_w_id, c_d_id, c_id from customer {_OF_CUSTOMER}
        where abs(c_balance - coalesce(d.amount, 0) + coalesce(p.amount, 0)) > 0.005""",
    12: f"""select c_w_id, c_d_id, c_id from customer {_OF_CUSTOMER}
        where abs(c_balance + c_ytd_payment - coalesce(d.amount, 0)) > 0.005""",
}


def violations(session: Session) -> list[str]:
    """What does not hold, one line a condition; empty is right."""
    found = []
    for number, query in CONDITIONS.items():
        rows: list[Any] = session.execute(query).fetchall()
        if rows:
            found.append(f"condition {number}: {len(rows)} rows, such as {tuple(rows[0])}")
    return found


def initial_violations(session: Session, delivered: int) -> list[str]:
    """Condition 11 beside the others: as many orders are delivered in each district as the load made."""
    counted = "select o_w_id, o_d_id, count(*) as n from orders group by o_w_id, o_d_id"
    open_ = "select no_w_id, no_d_id, count(*) as n from new_order group by no_w_id, no_d_id"
    rows = session.execute(
        f"select o_w_id, o_d_id from ({counted}) o join ({open_}) x on no_w_id = o_w_id and no_d_id = o_d_id "
        f"where o.n - x.n <> {delivered}"
    ).fetchall()
    return violations(session) + ([f"condition 11: {len(rows)} districts"] if rows else [])
