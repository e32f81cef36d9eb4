-- Support representatives: customers, revenue, and the customer who spent most with each.
select e.first_name || ' ' || e.last_name as rep,
       count(distinct c.customer_id) as customers, sum(i.total) as revenue,
       best.name as best_customer, best.spent
from employee e
join customer c on c.support_rep_id = e.employee_id
join invoice i on i.customer_id = c.customer_id
cross join lateral (
    select c2.first_name || ' ' || c2.last_name as name, sum(i2.total) as spent
    from customer c2 join invoice i2 using (customer_id)
    where c2.support_rep_id = e.employee_id
    group by c2.customer_id, c2.first_name, c2.last_name
    order by spent desc, name
    limit 1
) best
group by e.employee_id, e.first_name, e.last_name, best.name, best.spent
order by revenue desc;
