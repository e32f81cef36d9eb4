-- Every quarter from 2021 to 2025, also such without invoices: revenue, and the cumulative share.
with quarters as (
    select q as start, q + interval '3 months' as finish
    from generate_series(timestamp '2020-10-01', timestamp '2025-12-31', interval '3 months') as q
)
select to_char(q.start, 'YYYY "Q"Q') as quarter, count(i.invoice_id) as invoices, coalesce(sum(i.total), 0) as revenue,
       round(sum(coalesce(sum(i.total), 0)) over (order by q.start) / (select sum(total) from invoice), 4) as so_far
from quarters q left join invoice i on i.invoice_date >= q.start and i.invoice_date < q.finish
group by q.start
order by q.start;
