-- Tracks that were never sold, by artist: how many, and the share of the artist's tracks.
select ar.name as artist, count(*) as unsold,
       round(100.0 * count(*) / (
           select count(*) from track t2 join album al2 using (album_id) where al2.artist_id = ar.artist_id
       ), 1) as percent,
       min(t.name) as first, string_agg(distinct left(al.title, 12), '; ' order by left(al.title, 12)) as albums
from track t join album al using (album_id) join artist ar using (artist_id)
where not exists (select from invoice_line l where l.track_id = t.track_id)
group by ar.artist_id, ar.name
having count(*) > 20
order by unsold desc, artist;
