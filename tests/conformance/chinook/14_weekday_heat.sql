-- Invoices by day of the week and quarter.
select trim(to_char(invoice_date, 'Day')) as day, extract(isodow from invoice_date) as n,
       count(*) filter (where extract(quarter from invoice_date) = 1) as q1,
       count(*) filter (where extract(quarter from invoice_date) = 2) as q2,
       count(*) filter (where extract(quarter from invoice_date) = 3) as q3,
       count(*) filter (where extract(quarter from invoice_date) = 4) as q4
from invoice
group by day, n
order by n;
