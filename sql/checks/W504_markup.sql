-- code: W504
-- severity: warning
-- title: markup is left over in a word or a gloss
-- remedy: report it with the entry to the maintainers of the reader
SELECT place AS what FROM texts()
WHERE regexp_matches(text, '\{\{|\}\}|\[\[|\]\]|</?(ref|sup|sub|br|i|b|small|span|nowiki|math)\b[^<>]*>|&(amp|lt|gt|nbsp|quot|#[0-9]+);|''''');
