-- Which attempt of which build, with which credential, a lease token was given out for, under a key that is not in the
-- database: a row that is moved or altered by SQL opens nothing. Leases of before open nothing either; the next attempt does.
alter table leases add column binding text not null default '';
alter table leases alter column binding drop default;
