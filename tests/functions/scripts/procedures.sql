create table t (a integer primary key, b text);
create procedure put(k integer, v text) language plpgsql as $$ begin insert into t values (k, v); raise notice 'put %', k; end $$;
call put(1, 'one');
call put(1 + 1, upper('two'));
call put(1, 'double');
create procedure add(in x integer, inout y integer, out z text) language plpgsql as $$ begin y := x + y; z := 'z' || y; end $$;
call add(1, 2, null);
create procedure calls() language plpgsql as $$
declare v integer := 5; w text;
begin
  call add(10, v, w);
  raise notice '% %', v, w;
  call put(v, w);
end $$;
call calls();
create procedure in_sql(k integer) language sql as $$ insert into t values (k, 's'); update t set b = b || '!' where a = k; $$;
call in_sql(30);
select * from t order by a;
select put(3, 'x');
call nothing(1);
create function f() returns integer language sql as 'select 1';
call f();
drop function put;
drop procedure put(integer, text);
call put(4, 'x');
drop procedure in_sql;
drop routine calls;
select proname, prokind from pg_proc where proname in ('add', 'f', 'put') order by 1;
