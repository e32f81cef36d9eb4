-- Who reports to whom, from the top, with the path.
with recursive chain (employee_id, name, title, level, path) as (
    select employee_id, first_name || ' ' || last_name, title, 0, last_name::text
    from employee where reports_to is null
    union all
    select e.employee_id, e.first_name || ' ' || e.last_name, e.title, c.level + 1, c.path || ' > ' || e.last_name
    from employee e join chain c on e.reports_to = c.employee_id
)
select level, repeat('  ', level) || name as who, title, path from chain order by path;
