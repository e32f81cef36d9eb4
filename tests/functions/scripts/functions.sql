create table t (a integer primary key, b text);
insert into t select g, 'x' || g from generate_series(1, 5) g;
create function add(a integer, integer) returns integer language plpgsql as $$ begin return a + $2; end $$;
select add(1, 2), add(a, a) from t order by a;
create function total(n integer) returns bigint language plpgsql stable as $$
declare s bigint;
begin
  select sum(a) into s from t where a <= n;
  return s;
end $$;
select a, total(a) from t order by a;
create function fib(n integer) returns integer language plpgsql as $$
begin
  if n < 2 then return n; end if;
  return fib(n - 1) + fib(n - 2);
end $$;
select fib(10);
create function strict_one(n integer) returns text strict language plpgsql as $$ begin return coalesce(n::text, 'null'); end $$;
select strict_one(null), strict_one(3);
create function nothing(n integer) returns void language plpgsql as $$ begin update t set b = b || n where a = n; end $$;
select nothing(1), nothing(2);
select nothing(g) from generate_series(2, 3) g;
select * from t order by a;
create function missing() returns integer language plpgsql as $$ begin null; end $$;
select missing();
create function wrong() returns integer language plpgsql as $$ begin return 'x'; end $$;
select wrong();
create function pair(n integer) returns t language plpgsql as $$ declare r t; begin select * into r from t where a = n; return r; end $$;
select (pair(3)).b, pair(9) is null;
create function outs(a integer, out twice integer, out half numeric) language plpgsql as $$ begin twice := a * 2; half := a / 2.0; end $$;
select (outs(3)).twice;
create function one_out(inout n integer) language plpgsql as $$ begin n := n + 1; end $$;
select one_out(4);
create function squares(n integer) returns table (i integer, sq integer) language plpgsql as $$
begin
  for k in 1..n loop
    i := k; sq := k * k;
    return next;
  end loop;
  return query select 100, 200;
  return;
end $$;
select * from squares(3);
select t.a, s.sq from t, squares(t.a) s where t.a = 2 order by 2;
create function numbers(n integer) returns setof integer language plpgsql as $$ begin for k in 1..n loop return next k; end loop; end $$;
select * from numbers(3);
create function some_rows(n integer) returns setof t language plpgsql as $$
declare r t;
begin
  for r in select * from t where a <= n order by a loop return next r; end loop;
  return query execute 'select * from t where a = $1' using 5;
end $$;
select * from some_rows(2);
create function bad_rows() returns table (x integer) language plpgsql as $$ begin return query select 1, 2; end $$;
select * from bad_rows();
create function stable_writes() returns void stable language plpgsql as $$ begin delete from t; end $$;
select stable_writes();
create function ambiguous(a integer) returns text language plpgsql as $$ begin return (select b from t where a = 1); end $$;
select ambiguous(1);
create function qualified(a integer) returns text language plpgsql as $$ begin return (select b from t where t.a = qualified.a); end $$;
select qualified(4);
create function counted() returns bigint language plpgsql as $$ begin insert into t values ((select max(a) + 1 from t)); return (select count(*) from t); end $$;
select counted(), counted();
select counted() from generate_series(1, 2);
create function ddl() returns bigint language plpgsql as $$ begin create table made as select 1 as x; insert into made values (2); return (select sum(x) from made); end $$;
select ddl();
select * from made order by x;
select ddl();
create or replace function add(a integer, integer) returns integer language plpgsql as $$ begin return a - $2; end $$;
select add(1, 2);
create or replace function add(a integer, integer) returns text language plpgsql as $$ begin return a - $2; end $$;
create function syntax() returns integer language plpgsql as $$ begin retrun 1; end $$;
create function syntax() returns integer language plpgsql as $$ begin if true return 1; end if; end $$;
create function syntax() returns integer language plpgsql as $$ begin return 1; end loop; $$;
create function syntax() returns integer language plpgsql as $$ declare x integer; x text; begin return 1; end $$;
drop function add(integer, integer);
select add(1, 2);
create function fac(n bigint) returns bigint language plpgsql as $$ begin if n <= 1 then return 1; end if; return n + fac(n - 1); end $$;
select fac(60);
create function endless(n integer) returns integer language plpgsql as $$ begin return endless(n); exception when statement_too_complex then return 0; end $$;
select twice from outs(3) where twice = 6;
select t.a, o.twice from t, outs(t.a) o where t.a < 3 order by 1;
create function below(k integer) returns bigint stable language sql as 'select count(*) from t where a < k';
create view seen as select a, below(a) from t;
select * from seen where a < 4 order by a;
drop function below;
create table kept (n bigint default below(3), check (below(n::integer) >= 0));
insert into kept default values returning n;
create function twice(n integer) returns integer immutable language sql as 'select n * 2';
create index on t (twice(a));
select a from t where twice(a) = 4;
drop function twice;
