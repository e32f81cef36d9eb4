-- The longest tracks against their album and genre, and how far along their album they are.
select t.name, al.title, g.name as genre,
       (t.milliseconds / 1000 * interval '1 second')::text as length,
       ntile(4) over (partition by t.genre_id order by t.milliseconds, t.track_id) as quarter,
       round((percent_rank() over (partition by t.genre_id order by t.milliseconds))::numeric, 4) as standing,
       t.milliseconds - first_value(t.milliseconds) over w as more_than_shortest,
       row_number() over w || ' of ' || count(*) over (partition by t.album_id) as place
from track t join album al using (album_id) join genre g using (genre_id)
window w as (partition by t.album_id order by t.milliseconds, t.track_id)
order by t.milliseconds desc
limit 12;
