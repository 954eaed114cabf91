-- Who deletes their account takes their address out of the invitations of the organizations that they belong to.
grant delete on invitations to capstan_api;
