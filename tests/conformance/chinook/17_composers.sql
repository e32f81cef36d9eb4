-- The most credited composers: the composer lists split at commas and slashes.
select btrim(part) as composer, count(*) as tracks, count(distinct album_id) as albums
from track, regexp_split_to_table(composer, '\s*[,/]\s*') as part
where composer is not null and btrim(part) <> ''
group by btrim(part)
order by tracks desc, composer
limit 15;
