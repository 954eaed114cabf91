-- The control process hears of a message the moment it is committed; its poll finds what a lost notification left out.
create function ring_for_outbox() returns trigger language plpgsql as $$
begin
  perform pg_notify('outbox', '');
  return null;
end $$;

create trigger outbox_rings after insert on outbox for each statement execute function ring_for_outbox();
