-- Ages and time of service on a fixed day.
select last_name, birth_date::date, hire_date::date,
       extract(year from age(timestamp '2025-06-30', birth_date)) as years_old,
       age(timestamp '2025-06-30', hire_date) as service,
       date_part('day', timestamp '2025-06-30' - hire_date) as days
from employee
order by hire_date, last_name;
