create table t (a integer primary key, b text);
do $$ begin insert into t values (1, 'kept'); commit; insert into t values (2, 'gone'); rollback; insert into t values (3, 'too'); end $$;
select * from t order by a;
create procedure batches(n integer) language plpgsql as $$
begin
  for i in 1..n loop
    insert into t values (10 + i, 'batch');
    if i % 2 = 0 then commit; else rollback; end if;
  end loop;
end $$;
call batches(4);
select * from t order by a;
create procedure outer_one() language plpgsql as $$ begin call batches(6); insert into t values (100, 'after'); end $$;
delete from t where a > 10;
call outer_one();
select * from t order by a;
begin;
call batches(2);
rollback;
do $$ begin insert into t values (200, 'x'); begin commit; exception when division_by_zero then null; end; end $$;
create function in_function() returns integer language plpgsql as $$ begin commit; return 1; end $$;
select in_function();
do $$ begin perform in_function(); end $$;
do $$ begin insert into t values (300, 'first'); commit; insert into t values (300, 'double'); end $$;
select * from t where a >= 100 order by a;
do $$ declare r record; begin for r in select * from t order by a loop update t set b = b || '.' where a = r.a; commit; end loop; end $$;
select * from t order by a;
