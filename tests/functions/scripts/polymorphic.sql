create table t (a integer primary key, b text, n numeric(8,2));
insert into t values (1, 'one', 1.5), (2, 'two', 2.5);
create function same(a anyelement, b anyelement) returns boolean language plpgsql as $$ begin return a = b; end $$;
select same(1, 1), same('x'::text, 'y'), same(a, 2) from t order by a;
select same(1, 'x'::text);
create function first_of(a anyelement, b anyelement) returns anyelement language sql immutable as 'select coalesce($1, $2)';
select first_of(null, 5), first_of(b, 'z'), first_of(date '2020-01-02', null) from t where a = 1;
create function element(a anyarray, i integer) returns anyelement language sql as 'select a[i]';
select element(array[3, 4], 2), element(array['x', 'y'], 1);
create function pair(a anynonarray) returns anyarray language sql as 'select array[a, a]';
create function pair(a anyelement) returns anyarray language sql as 'select array[a, a]';
select pair(7), pair('q'::text);
create function noisy_oper(p_comment text, p_a anynonarray, p_op text, p_b anynonarray) returns bool language plpgsql as $$
declare
  r bool;
begin
  execute format('select $1 %s $2', p_op) into r using p_a, p_b;
  raise notice '%: % % % % %: %', p_comment, pg_typeof(p_a), p_a, p_op, pg_typeof(p_b), p_b, r;
  return r;
end $$;
select a from t where noisy_oper('test', a, '=', 2);
select b from t where noisy_oper('text', b, '>', 'one'::text) order by a;
create function no_input() returns anyelement language sql as 'select 1';
drop function same(anyelement, anyelement);
select same(1, 1);
select prorettype from pg_proc where proname = 'first_of';
