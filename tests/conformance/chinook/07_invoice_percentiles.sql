-- How large invoices are, by country with at least twenty of them.
select billing_country,
       count(*),
       min(total), max(total),
       percentile_cont(0.5) within group (order by total) as median,
       percentile_disc(0.9) within group (order by total) as p90,
       mode() within group (order by total) as usual,
       round(stddev_samp(total), 4) as deviation
from invoice
group by billing_country
having count(*) >= 20
order by billing_country;
