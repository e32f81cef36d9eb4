-- Artists that earn more than three times the average artist, with the share of their best album.
with earned as (
    select ar.artist_id, ar.name, al.title, sum(l.unit_price * l.quantity) as revenue
    from invoice_line l
    join track t using (track_id) join album al using (album_id) join artist ar using (artist_id)
    group by ar.artist_id, ar.name, al.album_id, al.title
), artists as (
    select artist_id, name, sum(revenue) as revenue, max(revenue) as best from earned group by artist_id, name
)
select name, revenue, round(100 * best / revenue, 1) as best_percent
from artists
where revenue > 3 * (select avg(revenue) from artists)
order by revenue desc, name;
