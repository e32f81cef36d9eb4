select name, sum(quantity) as pieces, sum(quantity * price) as total, max(sold) as last
from product join sale on product = id
where sold >= $1
group by name
order by total desc nulls last, name
