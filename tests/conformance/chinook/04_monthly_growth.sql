-- Revenue by month of 2022 with running total, change against the month before, and a moving average of three.
with months as (
    select date_trunc('month', invoice_date) as month, sum(total) as revenue
    from invoice
    where invoice_date >= timestamp '2021-12-01' and invoice_date < timestamp '2023-01-01'
    group by 1
)
select to_char(month, 'YYYY-MM') as month, revenue,
       sum(revenue) over (order by month) as running,
       revenue - lag(revenue) over (order by month) as change,
       round(avg(revenue) over (order by month rows between 2 preceding and current row), 3) as moving
from months
order by month;
