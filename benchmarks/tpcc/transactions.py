"""TPC-C's five transactions (revision 5.11, clauses 2.4 to 2.8), as one terminal runs them.

Each method is one transaction from BEGIN to COMMIT over statements that are prepared once. It is given all its random
values, so that running it again after a retryable error does the same. A terminal belongs to a warehouse, and to one of
its districts for Stock-Level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks.peers import Peer, Run, Session
from benchmarks.tpcc.schema import DISTRICTS, Scale
from benchmarks.tpcc.values import Values

# The deck of clause 5.2.4.2: 23 cards give the least shares that are allowed for the last four.
DECK = (
    *["New-Order"] * 10,
    *["Payment"] * 10,
    "Order-Status",
    "Delivery",
    "Stock-Level",
)
KINDS = ("New-Order", "Payment", "Order-Status", "Delivery", "Stock-Level")
_CUSTOMER = "c_w_id = ? and c_d_id = ? and c_id = ?"
_BY_NAME = "from customer where c_w_id = ? and c_d_id = ? and c_last = ? order by c_first"

TEXTS = {
    "warehouse_tax": "select w_tax from warehouse where w_id = ?",
    "district_next": "select d_tax, d_next_o_id from district where d_w_id = ? and d_id = ?",
    "set_next": "update district set d_next_o_id = ? where d_w_id = ? and d_id = ?",
    "discount": f"select c_discount, c_last, c_credit from customer where {_CUSTOMER}",
    "insert_order": "insert into orders values (?, ?, ?, ?, ?, null, ?, ?)",
    "insert_new_order": "insert into new_order values (?, ?, ?)",
    "item": "select i_price, i_name, i_data from item where i_id = ?",
    "set_stock": "update stock set s_quantity = ?, s_ytd = ?, s_order_cnt = ?, s_remote_cnt = ? "
    "where s_w_id = ? and s_i_id = ?",
    "insert_line": "insert into order_line values (?, ?, ?, ?, ?, ?, null, ?, ?, ?)",
    "warehouse": "select w_name, w_street_1, w_street_2, w_city, w_state, w_zip from warehouse where w_id = ?",
    "pay_warehouse": "update warehouse set w_ytd = w_ytd + ? where w_id = ?",
    "district": "select d_name, d_street_1, d_street_2, d_city, d_state, d_zip from district "
    "where d_w_id = ? and d_id = ?",
    "pay_district": "update district set d_ytd = d_ytd + ? where d_w_id = ? and d_id = ?",
    "named": f"select c_id {_BY_NAME}",
    "customer": "select c_first, c_middle, c_last, c_street_1, c_city, c_zip, c_phone, c_since, c_credit, "
    f"c_credit_lim, c_discount, c_balance, c_data from customer where {_CUSTOMER}",
    "pay_customer": "update customer set c_balance = c_balance - ?, c_ytd_payment = c_ytd_payment + ?, "
    f"c_payment_cnt = c_payment_cnt + 1 where {_CUSTOMER}",
    "pay_bad_customer": "update customer set c_balance = c_balance - ?, c_ytd_payment = c_ytd_payment + ?, "
    f"c_payment_cnt = c_payment_cnt + 1, c_data = ? where {_CUSTOMER}",
    "insert_history": "insert into history values (?, ?, ?, ?, ?, ?, ?, ?)",
    "balance": f"select c_balance, c_first, c_middle, c_last from customer where {_CUSTOMER}",
    "last_order": "select o_id, o_entry_d, o_carrier_id from orders "
    "where o_w_id = ? and o_d_id = ? and o_c_id = ? order by o_id desc limit 1",
    "lines": "select ol_i_id, ol_supply_w_id, ol_quantity, ol_amount, ol_delivery_d from order_line "
    "where ol_w_id = ? and ol_d_id = ? and ol_o_id = ?",
    "oldest": "select no_o_id from new_order where no_w_id = ? and no_d_id = ? order by no_o_id limit 1",
    "delete_oldest": "delete from new_order where no_w_id = ? and no_d_id = ? and no_o_id = ?",
    "order_customer": "select o_c_id from orders where o_w_id = ? and o_d_id = ? and o_id = ?",
    "set_carrier": "update orders set o_carrier_id = ? where o_w_id = ? and o_d_id = ? and o_id = ?",
    "deliver_lines": "update order_line set ol_delivery_d = ? where ol_w_id = ? and ol_d_id = ? and ol_o_id = ?",
    "order_amount": "select sum(ol_amount) from order_line where ol_w_id = ? and ol_d_id = ? and ol_o_id = ?",
    "deliver": f"update customer set c_balance = c_balance + ?, c_delivery_cnt = c_delivery_cnt + 1 where {_CUSTOMER}",
    "next_order": "select d_next_o_id from district where d_w_id = ? and d_id = ?",
    "low_stock": "select count(distinct s_i_id) from order_line, stock where ol_w_id = ? and ol_d_id = ? "
    "and ol_o_id >= ? and ol_o_id < ? and s_w_id = ? and s_i_id = ol_i_id and s_quantity < ?",
}


@dataclass(slots=True)
class Terminal:
    peer: Peer
    session: Session
    scale: Scale
    values: Values
    warehouse: int
    district: int
    run: dict[str, Run]

    @staticmethod
    def of(peer: Peer, session: Session, scale: Scale, values: Values, number: int) -> Terminal:
        run = {name: session.prepare(text) for name, text in TEXTS.items()}
        for district in range(1, DISTRICTS + 1):
            run[f"stock{district}"] = session.prepare(
                f"select s_quantity, s_data, s_dist_{district:02}, s_ytd, s_order_cnt, s_remote_cnt from stock "
                "where s_w_id = ? and s_i_id = ?"
            )
        home, district = number % scale.warehouses + 1, number % DISTRICTS + 1
        return Terminal(peer, session, scale, values, home, district, run)

    def prepared(self, kind: str) -> Callable[[], object]:
        """A transaction of the kind with its random values drawn; None is what one gives that rolled itself back."""
        match kind:
            case "New-Order":
                return self._new_order()
            case "Payment":
                return self._payment()
            case "Order-Status":
                return self._order_status()
            case "Delivery":
                carrier, now = self.values.between(1, 10), self._now()
                return lambda: self.delivery(carrier, now)
            case _:
                threshold = self.values.between(10, 20)
                return lambda: self.stock_level(threshold)

    def _now(self) -> Any:
        return self.peer.moment(datetime.now().replace(tzinfo=None))

    def _other_warehouse(self) -> int:
        """Any but the terminal's own."""
        other = self.values.between(1, self.scale.warehouses - 1)
        return other + (other >= self.warehouse)

    def _customer(self) -> int | str:
        """By last name in 60 of 100 cases, else by number."""
        values, customers = self.values, self.scale.customers
        return values.name(customers) if values.random.random() < 0.6 else values.customer_id(customers)

    def _find(self, warehouse: int, district: int, customer: int | str) -> int:
        """The customer's number; of those with a name the middle one by first name, rounded up."""
        if isinstance(customer, int):
            return customer
        rows = self.run["named"]((warehouse, district, customer)).fetchall()
        found: int = rows[(len(rows) - 1) // 2][0]
        return found

    # --- New-Order, clause 2.4 ----------------------------------------------------------------------------------------
    def _new_order(self) -> Callable[[], object]:
        values, scale = self.values, self.scale
        district, customer = values.between(1, DISTRICTS), values.customer_id(scale.customers)
        lines = []
        for _ in range(values.between(5, 15)):
            remote = scale.warehouses > 1 and values.random.random() < 0.01
            supply = self._other_warehouse() if remote else self.warehouse
            lines.append((values.item_id(scale.items), supply, values.between(1, 10)))
        if values.random.random() < 0.01:  # the user's mistake: no such item
            lines[-1] = (scale.items + 1, *lines[-1][1:])
        now = self._now()
        return lambda: self.new_order(district, customer, lines, now)

    def new_order(self, district: int, customer: int, lines: list[tuple[int, int, int]], now: Any) -> object:
        """(warehouse, district, number) of the order; None if an item was not found and all was rolled back."""
        run, home = self.run, self.warehouse
        self.session.begin()
        run["warehouse_tax"]((home,)).fetchone()
        _, order = run["district_next"]((home, district)).fetchone()
        run["set_next"]((order + 1, home, district))
        run["discount"]((home, district, customer)).fetchone()
        local = int(all(supply == home for _, supply, _ in lines))
        run["insert_order"]((order, district, home, customer, now, len(lines), local))
        run["insert_new_order"]((order, district, home))
        for number, (item, supply, quantity) in enumerate(lines, 1):
            found = run["item"]((item,)).fetchone()
            if found is None:
                self.session.rollback()
                return None
            stock, _, info, ytd, orders, remote = run[f"stock{district}"]((supply, item)).fetchone()
            left = stock - quantity if stock >= quantity + 10 else stock - quantity + 91
            run["set_stock"]((left, ytd + quantity, orders + 1, remote + (supply != home), supply, item))
            amount = quantity * found[0]
            run["insert_line"]((order, district, home, number, item, supply, quantity, amount, info))
        self.session.commit()
        return home, district, order

    # --- Payment, clause 2.5 ------------------------------------------------------------------------------------------
    def _payment(self) -> Callable[[], object]:
        values = self.values
        district, cents = values.between(1, DISTRICTS), values.between(100, 500_000)
        if self.scale.warehouses > 1 and values.random.random() < 0.15:
            whose = self._other_warehouse(), values.between(1, DISTRICTS)
        else:
            whose = self.warehouse, district
        customer, now = self._customer(), self._now()
        return lambda: self.payment(district, whose, customer, cents, now)

    def payment(self, district: int, whose: tuple[int, int], customer: int | str, cents: int, now: Any) -> object:
        run, home, amount = self.run, self.warehouse, self.peer.money(cents)
        self.session.begin()
        run["pay_warehouse"]((amount, home))
        name = run["warehouse"]((home,)).fetchone()[0]
        run["pay_district"]((amount, home, district))
        other = run["district"]((home, district)).fetchone()[0]
        number = self._find(*whose, customer)
        found = run["customer"]((*whose, number)).fetchone()
        if found[8] == "BC":
            data = f"{number} {whose[1]} {whose[0]} {district} {home} {amount} | {found[12]}"[:500]
            run["pay_bad_customer"]((amount, amount, data, *whose, number))
        else:
            run["pay_customer"]((amount, amount, *whose, number))
        run["insert_history"]((number, whose[1], whose[0], district, home, now, amount, f"{name}    {other}"))
        self.session.commit()
        return True

    # --- Order-Status, clause 2.6 -------------------------------------------------------------------------------------
    def _order_status(self) -> Callable[[], object]:
        district, customer = self.values.between(1, DISTRICTS), self._customer()
        return lambda: self.order_status(district, customer)

    def order_status(self, district: int, customer: int | str) -> object:
        run, home = self.run, self.warehouse
        self.session.begin(read_only=True)
        number = self._find(home, district, customer)
        run["balance"]((home, district, number)).fetchone()
        last = run["last_order"]((home, district, number)).fetchone()
        if last is not None:
            run["lines"]((home, district, last[0])).fetchall()
        self.session.commit()
        return True

    # --- Delivery, clause 2.7 -----------------------------------------------------------------------------------------
    def delivery(self, carrier: int, now: Any) -> object:
        """The oldest order of every district, in one transaction."""
        run, home = self.run, self.warehouse
        self.session.begin()
        for district in range(1, DISTRICTS + 1):
            oldest = run["oldest"]((home, district)).fetchone()
            if oldest is None:
                continue
            order = (home, district, oldest[0])
            run["delete_oldest"](order)
            customer = run["order_customer"](order).fetchone()[0]
            run["set_carrier"]((carrier, *order))
            run["deliver_lines"]((now, *order))
            amount = run["order_amount"](order).fetchone()[0]
            run["deliver"]((amount, home, district, customer))
        self.session.commit()
        return True

    # --- Stock-Level, clause 2.8 --------------------------------------------------------------------------------------
    def stock_level(self, threshold: int) -> object:
        """How many items of the district's last 20 orders are short."""
        run, home = self.run, self.warehouse
        self.session.begin(read_only=True)
        following = run["next_order"]((home, self.district)).fetchone()[0]
        run["low_stock"]((home, self.district, following - 20, following, home, threshold)).fetchone()
        self.session.commit()
        return True
