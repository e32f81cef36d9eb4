-- Runs of consecutive months in which a customer bought something; the longest run of each, if it has two months or more.
with months as (
    select distinct customer_id,
           (extract(year from invoice_date) * 12 + extract(month from invoice_date))::integer as month
    from invoice
), islands as (
    select customer_id, month, month - row_number() over (partition by customer_id order by month) as island from months
), runs as (
    select customer_id, count(*) as length, min(month) as first from islands group by customer_id, island
)
select c.last_name, c.first_name, r.length, r.first / 12 as year, r.first % 12 as month
from (select distinct on (customer_id) * from runs order by customer_id, length desc, first) r
join customer c using (customer_id)
where r.length >= 2
order by r.length desc, c.last_name, c.first_name;
