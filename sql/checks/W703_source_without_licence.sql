-- code: W703
-- severity: warning
-- title: a source of unknown licence
-- remedy: an export with --licence leaves it out; where you know it, ingest it again with --licence
SELECT name AS what FROM sources WHERE coalesce(trim(licence), '') IN ('', 'unknown');
