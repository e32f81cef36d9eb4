-- Customers that bought both Rock and Jazz but never Latin.
select c.customer_id, c.last_name, c.country
from customer c
where c.customer_id in (
    select i.customer_id from invoice i join invoice_line l using (invoice_id) join track t using (track_id)
    join genre g using (genre_id) where g.name = 'Rock'
    intersect
    select i.customer_id from invoice i join invoice_line l using (invoice_id) join track t using (track_id)
    join genre g using (genre_id) where g.name = 'Jazz'
    except
    select i.customer_id from invoice i join invoice_line l using (invoice_id) join track t using (track_id)
    join genre g using (genre_id) where g.name = 'Latin'
)
order by c.customer_id;
