create table t (a integer primary key, b text, n integer default 0);
create table log (id serial primary key, what text, row_text text);
create function note() returns trigger language plpgsql as $$
begin
  insert into log (what, row_text) values (tg_when || ' ' || tg_op || ' ' || tg_level || ' ' || tg_table_name || ' ' || tg_name, coalesce(new::text, old::text));
  if tg_op = 'DELETE' then return old; end if;
  return new;
end $$;
create trigger note_rows after insert or update or delete on t for each row execute function note();
create trigger note_statement before insert or delete on t for each statement execute function note();
insert into t values (1, 'one'), (2, 'two');
update t set b = b || '!' where a = 2;
delete from t where a = 1;
delete from t where a = 99;
select * from log order by id;
create function change() returns trigger language plpgsql as $$
begin
  if new.a < 0 then
    raise notice 'left out %', new.a;
    return null;
  end if;
  new.n := coalesce(new.n, 0) + 1;
  new.b := upper(new.b);
  if tg_nargs > 0 then new.b := new.b || tg_argv[0]; end if;
  return new;
end $$;
create trigger change_rows before insert or update on t for each row execute function change('+', 2);
insert into t values (3, 'three'), (-1, 'gone'), (4, 'four') returning *;
update t set n = 10 where a = 3 returning a, b, n;
select * from t order by a;
create function refuse() returns trigger language plpgsql as $$
begin
  if old.b is distinct from new.b then raise exception 'b of % may not change', old.a using errcode = '23514'; end if;
  return new;
end $$;
drop trigger change_rows on t;
create trigger refuse_rows before update on t for each row when (old.a > 2) execute function refuse();
update t set b = 'x' where a = 3;
update t set b = 'x' where a = 2;
update t set n = 5;
select a, b, n from t order by a;
create function keep() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger keep_rows before delete on t for each row execute function keep();
delete from t;
select count(*) from t;
drop trigger keep_rows on t;
drop trigger note_rows on t;
drop trigger note_statement on t;
create table audit (a integer, b text, n integer, op text);
create function audits() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then insert into audit select old.*, 'D'; else insert into audit values (new.*, left(tg_op, 1)); end if;
  return null;
end $$;
create trigger audit_rows after insert or update or delete on t for each row execute function audits();
insert into t values (7, 'seven');
update t set n = n + 1 where a = 7;
delete from t where a = 7;
select * from audit;
create table parent (id integer primary key, total integer default 0);
create table child (id integer primary key, parent integer, amount integer);
insert into parent values (1), (2);
create function sums() returns trigger language plpgsql as $$
begin
  update parent set total = total + new.amount where id = new.parent;
  if not found then raise exception 'no parent %', new.parent using errcode = 'foreign_key_violation'; end if;
  return new;
end $$;
create trigger sum_rows after insert on child for each row execute function sums();
insert into child select g, g % 2 + 1, g from generate_series(1, 10) g;
select * from parent order by id;
insert into child values (11, 3, 1);
select count(*) from child;
create function no_return() returns trigger language plpgsql as $$ begin null; end $$;
create trigger none before insert on child for each row execute function no_return();
insert into child values (12, 1, 1);
select no_return();
drop function no_return();
drop trigger none on child;
drop function no_return();
insert into child values (12, 1, 1);
