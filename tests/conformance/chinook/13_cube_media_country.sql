-- Units sold by region and media type, with all totals.
with sold as (
    select case when billing_country in ('USA', 'Canada') then 'North America'
                when billing_country in ('Brazil', 'Argentina', 'Chile') then 'South America'
                when billing_country in ('India', 'Australia') then 'Asia-Pacific'
                else 'Europe' end as region,
           m.name as media, l.quantity
    from invoice_line l
    join invoice i using (invoice_id) join track t using (track_id) join media_type m using (media_type_id)
)
select region, media, sum(quantity) as units, grouping(region) as all_regions, grouping(media) as all_media
from sold
group by cube (region, media)
order by all_regions, region, all_media, media;
