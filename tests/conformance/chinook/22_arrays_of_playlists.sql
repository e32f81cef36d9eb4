-- Tracks on most playlists, and which those are.
select t.name, array_length(p.names, 1) as n, p.names[1] as first, array_to_string(p.names, ', ') as names
from (
    select track_id, array_agg(distinct pl.name order by pl.name) as names
    from playlist_track join playlist pl using (playlist_id)
    group by track_id
) p join track t using (track_id)
where array_length(p.names, 1) >= 4
order by n desc, t.name, t.track_id
limit 12;
