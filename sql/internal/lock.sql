-- What a connection that only reads is locked with, once the graph is open.
-- Without external access alone, DuckDB still lets a query overwrite the files of attached databases; so there is no file
-- system at all. Temporary files would need one: what does not fit into memory ends in an error.
SET enable_external_access = false;
SET disabled_filesystems = 'LocalFileSystem';
SET lock_configuration = true;
