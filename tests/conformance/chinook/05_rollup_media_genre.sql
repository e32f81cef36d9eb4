-- Tracks and hours by media type and genre, with subtotals; only groups of fifty tracks or more.
select coalesce(m.name, '(all media)') as media, coalesce(g.name, '(all genres)') as genre,
       count(*) as tracks, round(sum(milliseconds) / 3600000.0, 2) as hours, grouping(m.name, g.name) as level
from track t join media_type m using (media_type_id) join genre g using (genre_id)
group by rollup (m.name, g.name)
having count(*) >= 50
order by level desc, tracks desc, media, genre;
