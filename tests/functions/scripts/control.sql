create table t (a integer primary key, b text);
insert into t select g, 'x' || g from generate_series(1, 5) g;
-- loops and conditions
do $$
declare
  i integer := 3;
  n constant integer := 2;
  s text default 'start';
begin
  raise notice 'i=% n=% s=%', i, n, s;
  for k in 1..3 loop s := s || k; end loop;
  for k in reverse 6..1 by 2 loop s := s || '-' || k; end loop;
  raise notice '%', s;
  while i > 0 loop
    i := i - 1;
    continue when i = 1;
    raise notice 'while %', i;
  end loop;
  loop
    i := i + 1;
    exit when i >= 2;
  end loop;
  raise notice 'i=%, found=%', i, found;
end $$;
do $$
<<outside>>
declare x integer := 1;
begin
  <<within>>
  declare x integer := 2;
  begin
    raise notice '% % %', x, outside.x, within.x;
  end;
  <<rows>>
  for a in 1..3 loop
    for b in 1..3 loop
      continue rows when b = 2;
      exit rows when a = 3;
      raise notice 'a=% b=%', a, b;
    end loop;
  end loop;
  exit outside;
  raise notice 'never';
end $$;
do $$
declare r record; v integer; w text; total bigint := 0;
begin
  for r in select * from t where a <= 3 order by a loop
    total := total + r.a;
    raise notice 'row %: %', r.a, r;
  end loop;
  for v, w in select a, b from t where a > 3 order by a desc loop raise notice '% %', v, w; end loop;
  raise notice 'total % found %', total, found;
  for r in select * from t where false loop null; end loop;
  raise notice 'found % r %', found, r;
  for r in execute 'select a * $1 as y from t where a < $2 order by 1' using 10, 3 loop raise notice '%', r.y; end loop;
end $$;
do $$
declare e integer; a integer[] := array[3, 1, 2]; s integer := 0;
begin
  foreach e in array a loop s := s * 10 + e; end loop;
  a[2] := 7;
  a[4] := 8;
  raise notice '% % %', s, a, a[2] + a[4];
end $$;
do $$
declare x integer := 5; y text;
begin
  case x when 1, 2 then y := 'low'; when 5 then y := 'five'; else y := 'other'; end case;
  raise notice '%', y;
  case when x > 4 then raise notice 'big'; else raise notice 'small'; end case;
  if x > 10 then raise notice 'a'; elsif x > 4 then raise notice 'b'; else raise notice 'c'; end if;
  if null then raise notice 'never'; else raise notice 'null is not true'; end if;
  case x when 1 then null; end case;
end $$;
-- variables
do $$
declare
  a t.a%type := 4;
  r t%rowtype;
  u t;
  n double precision := 1.5;
  d date := '2020-02-03';
  z text;
begin
  select * into r from t where t.a = 4;
  u := r;
  u.b := u.b || '!';
  raise notice '% % % %', a, r, u, r.b;
  raise notice '% % %', n * 2, d + 1, coalesce(z, 'none');
  r := row(9, 'nine');
  raise notice '%', r;
  select 8, 'eight' into r.a, r.b;
  raise notice '% %', r, r is null;
  z := 5;
end $$;
do $$ declare x integer not null := 1; begin x := null; end $$;
do $$ declare x constant integer := 1; begin x := 2; end $$;
do $$ declare x integer; begin x := 'abc'; end $$;
do $$ declare r record; begin raise notice '%', r.a; end $$;
do $$ declare x integer := 1; begin if x = 1 then exit; end if; end $$;
-- diagnostics
do $$
declare n integer; k integer; v text;
begin
  update t set b = 'y' || a where a < 4;
  get diagnostics n = row_count;
  raise notice 'rows % %', n, found;
  delete from t where a = 99;
  raise notice 'found %', found;
  insert into t values (6, 'six') returning a, b into k, v;
  raise notice '% %', k, v;
  perform a from t where a > 4;
  get diagnostics n = row_count;
  raise notice 'perform % %', n, found;
  select b into v from t where a = 77;
  raise notice '% %', v, found;
  execute 'update t set b = $1 where a = $2' using 'dyn', 5;
  get diagnostics n = row_count;
  raise notice '% %', n, found;
  execute 'select b from t where a = 5' into v;
  raise notice '%', v;
end $$;
do $$ declare v text; begin select b into strict v from t where a = 77; end $$;
do $$ declare v text; begin select b into strict v from t; end $$;
do $$ declare v text; begin update t set b = 'z' returning b into v; end $$;
do $$ begin select 1; end $$;
do $$ declare a integer := 1; begin perform a from t; end $$;
do $$ begin execute null; end $$;
select * from t order by a;
