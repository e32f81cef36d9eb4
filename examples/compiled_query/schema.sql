create table product (id integer primary key, name text not null, price numeric(10,2));
create table sale (product integer not null, quantity integer not null, sold date);
