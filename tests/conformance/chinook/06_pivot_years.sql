-- Revenue by country and year, one column a year.
select billing_country as country,
       sum(total) filter (where extract(year from invoice_date) = 2021) as y2021,
       sum(total) filter (where extract(year from invoice_date) = 2022) as y2022,
       sum(total) filter (where extract(year from invoice_date) = 2023) as y2023,
       sum(total) filter (where extract(year from invoice_date) = 2024) as y2024,
       sum(total) filter (where extract(year from invoice_date) = 2025) as y2025,
       sum(total) as whole
from invoice
group by country
order by whole desc, country;
