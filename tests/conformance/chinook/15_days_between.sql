-- How long customers wait between two invoices: the ten who come back soonest on average.
with gaps as (
    select customer_id, invoice_date - lag(invoice_date) over (partition by customer_id order by invoice_date) as gap
    from invoice
)
select c.email, count(gap) as returns, min(gap) as shortest, max(gap) as longest, avg(gap) as average
from gaps join customer c using (customer_id)
group by c.customer_id, c.email
order by average, c.email
limit 10;
