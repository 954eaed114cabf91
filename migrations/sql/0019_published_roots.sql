-- Devices get the root statements of their app with every answer.
create policy app_roots_published on app_roots for select to capstan_api using (app_view() = 'published');
create constraint trigger app_roots_changed after insert or update or delete on app_roots
  deferrable initially deferred for each row execute function note_app_change();
