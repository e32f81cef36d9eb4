-- The two best-selling tracks of each genre (by quantity, then name).
with sold as (
    select t.genre_id, t.name, sum(l.quantity) as quantity, sum(l.quantity * l.unit_price) as revenue
    from track t join invoice_line l using (track_id)
    group by t.genre_id, t.track_id, t.name
), ranked as (
    select *, row_number() over (partition by genre_id order by quantity desc, name) as n from sold
)
select g.name as genre, n, r.name as track, quantity, revenue
from ranked r join genre g using (genre_id)
where n <= 2
order by genre, n;
