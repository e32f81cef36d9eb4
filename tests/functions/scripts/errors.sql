create table t (a integer primary key, b text);
do $$ begin raise exception 'it is %', 5; end $$;
do $$ begin raise exception 'coded' using errcode = '22012', hint = 'try', detail = 'more'; end $$;
do $$ begin raise exception using message = 'by option', errcode = 'unique_violation'; end $$;
do $$ begin raise division_by_zero; end $$;
do $$ begin raise sqlstate '12345' using message = 'own'; end $$;
do $$ begin raise info 'info'; raise warning 'warning % %%', 1; raise log 'log'; raise debug 'debug'; end $$;
do $$ begin raise notice 'null is %', null::integer; end $$;
do $$ begin raise notice 'few %'; end $$;
do $$ begin raise; end $$;
do $$ begin assert 1 = 1, 'fine'; assert 1 = 2, 'not ' || 'fine'; end $$;
do $$ begin assert 1 = 2; end $$;
do $$
begin
  insert into t values (1, 'kept');
  begin
    insert into t values (2, 'gone');
    insert into t values (1, 'double');
  exception
    when division_by_zero then raise notice 'never';
    when unique_violation or sqlstate '23502' then raise notice 'caught % %', sqlstate, sqlerrm;
  end;
  raise notice 'rows %', (select count(*) from t);
end $$;
select * from t;
do $$
declare c text; m text; d text; h text;
begin
  begin
    raise exception 'first' using errcode = 'XX123', detail = 'details', hint = 'hints';
  exception when others then
    get stacked diagnostics c = returned_sqlstate, m = message_text, d = pg_exception_detail, h = pg_exception_hint;
    raise notice '% % % %', c, m, d, h;
    begin
      perform 1 / 0;
    exception when others then raise notice 'inner %', sqlstate;
    end;
    raise notice 'outer %', sqlstate;
    raise;
  end;
end $$;
do $$ begin begin perform 1 / 0; exception when data_exception then raise notice 'a class'; end; end $$;
do $$ begin begin assert false; exception when others then raise notice 'never'; end; end $$;
do $$ begin begin assert false; exception when assert_failure then raise notice 'by name'; end; end $$;
create function deep(n integer) returns integer language plpgsql as $$
begin
  if n = 0 then
    return 1 / n;
  end if;
  return deep(n - 1);
end $$;
select deep(2);
create function guarded(n integer) returns text language plpgsql as $$
begin
  insert into t values (n, 'g');
  return 'in ' || 10 / (n - 3);
exception when others then
  return sqlerrm;
end $$;
select guarded(2), guarded(3), guarded(4);
select * from t order by a;
do $$ begin perform nothing(); end $$;
do $$ begin insert into nowhere values (1); end $$;
do $$ begin begin raise exception 'x'; exception when nonsense then null; end; end $$;
do $$ begin x := 1; end $$;
do $$ begin perform 1 end $$;
do language plpgsql 'begin raise notice ''quoted''; end';
