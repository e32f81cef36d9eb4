-- Revenue, customers and share of the whole for the ten countries that buy most.
select billing_country as country,
       count(distinct customer_id) as customers,
       count(*) as invoices,
       sum(total) as revenue,
       round(100 * sum(total) / sum(sum(total)) over (), 2) as percent,
       rank() over (order by sum(total) desc) as place
from invoice
group by billing_country
order by revenue desc, country
fetch first 10 rows only;
