-- Cities of customers against cities of employees, whichever has any.
select coalesce(c.city, e.city) as city, coalesce(c.customers, 0) as customers, coalesce(e.employees, 0) as employees
from (select city, count(*) as customers from customer group by city) c
full join (select city, count(*) as employees from employee group by city) e on c.city = e.city
where e.employees is not null or c.customers > 1
order by city nulls last;
