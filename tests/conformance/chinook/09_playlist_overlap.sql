-- Pairs of playlists of different names that share tracks: Jaccard similarity.
with sizes as (select playlist_id, count(*) as n from playlist_track group by playlist_id)
select a.name as one, b.name as other, count(*) as shared,
       round(count(*)::numeric / (sa.n + sb.n - count(*)), 4) as jaccard
from playlist_track x
join playlist_track y on x.track_id = y.track_id and x.playlist_id < y.playlist_id
join playlist a on a.playlist_id = x.playlist_id
join playlist b on b.playlist_id = y.playlist_id
join sizes sa on sa.playlist_id = x.playlist_id
join sizes sb on sb.playlist_id = y.playlist_id
where a.name <> b.name
group by a.playlist_id, a.name, b.playlist_id, b.name, sa.n, sb.n
order by jaccard desc, one, other, shared
limit 15;
