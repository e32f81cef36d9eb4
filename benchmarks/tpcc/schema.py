"""TPC-C's nine tables (revision 5.11, clause 1.3), and how large they are (clause 1.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

DISTRICTS = 10  # a warehouse


@dataclass(frozen=True, slots=True)
class Scale:
    """The specification's cardinalities are the defaults; tests make fewer rows."""

    warehouses: int = 1
    items: int = 100_000
    customers: int = 3000  # a district, and as many orders

    @property
    def undelivered(self) -> int:
        """Orders of a district that are not delivered yet: 900 of 3000."""
        return self.customers * 3 // 10


def _numbered(prefix: str, count: int, type_: str) -> str:
    return ", ".join(f"{prefix}{i:02} {type_}" for i in range(1, count + 1))


_ADDRESS = (
    "{0}_street_1 varchar(20), {0}_street_2 varchar(20), {0}_city varchar(20), {0}_state char(2), {0}_zip char(9)"
)

TABLES = {
    "warehouse": f"w_id integer primary key, w_name varchar(10), {_ADDRESS.format('w')}, w_tax numeric(4,4), "
    "w_ytd numeric(12,2)",
    "district": f"d_id integer, d_w_id integer, d_name varchar(10), {_ADDRESS.format('d')}, d_tax numeric(4,4), "
    "d_ytd numeric(12,2), d_next_o_id integer, primary key (d_w_id, d_id)",
    "customer": "c_id integer, c_d_id integer, c_w_id integer, c_first varchar(16), c_middle char(2), "
    f"c_last varchar(16), {_ADDRESS.format('c')}, c_phone char(16), c_since timestamp, c_credit char(2), "
    "c_credit_lim numeric(12,2), c_discount numeric(4,4), c_balance numeric(12,2), c_ytd_payment numeric(12,2), "
    "c_payment_cnt integer, c_delivery_cnt integer, c_data varchar(500), primary key (c_w_id, c_d_id, c_id)",
    "history": "h_c_id integer, h_c_d_id integer, h_c_w_id integer, h_d_id integer, h_w_id integer, h_date timestamp, "
    "h_amount numeric(6,2), h_data varchar(24)",
    "new_order": "no_o_id integer, no_d_id integer, no_w_id integer, primary key (no_w_id, no_d_id, no_o_id)",
    "orders": "o_id integer, o_d_id integer, o_w_id integer, o_c_id integer, o_entry_d timestamp, "
    "o_carrier_id integer, o_ol_cnt integer, o_all_local integer, primary key (o_w_id, o_d_id, o_id)",
    "order_line": "ol_o_id integer, ol_d_id integer, ol_w_id integer, ol_number integer, ol_i_id integer, "
    "ol_supply_w_id integer, ol_delivery_d timestamp, ol_quantity integer, ol_amount numeric(6,2), "
    "ol_dist_info char(24), primary key (ol_w_id, ol_d_id, ol_o_id, ol_number)",
    "item": "i_id integer primary key, i_im_id integer, i_name varchar(24), i_price numeric(5,2), i_data varchar(50)",
    "stock": f"s_i_id integer, s_w_id integer, s_quantity integer, {_numbered('s_dist_', DISTRICTS, 'char(24)')}, "
    "s_ytd integer, s_order_cnt integer, s_remote_cnt integer, s_data varchar(50), primary key (s_w_id, s_i_id)",
}
INDEXES = (
    "create index customer_name on customer (c_w_id, c_d_id, c_last, c_first)",
    "create index orders_customer on orders (o_w_id, o_d_id, o_c_id, o_id)",
)
