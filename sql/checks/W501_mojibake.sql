-- code: W501
-- severity: warning
-- title: UTF-8 that was once read as Latin-1 or Windows-1252
-- remedy: the file was decoded wrongly before it came here: get it anew, or re-encode it, and ingest again
SELECT place AS what FROM texts()
-- What a two-byte or three-byte sequence looks like then: É as Ã‰, an apostrophe as â€™, a no-break space as Â and itself.
WHERE regexp_matches(text, '[ÃÂ][\x{80}-\x{BF}\x{201A}\x{192}\x{201E}\x{2026}\x{2020}\x{2021}\x{2C6}\x{2030}\x{160}\x{2039}\x{152}\x{17D}\x{2018}\x{2019}\x{201C}\x{201D}\x{2022}\x{2013}\x{2014}\x{2DC}\x{2122}\x{161}\x{203A}\x{153}\x{17E}\x{178}]|â(\x{20AC}|\x{80})[\x{80}-\x{BF}\x{2122}\x{153}\x{201C}\x{201D}\x{2DC}\x{A6}\x{A2}]');
