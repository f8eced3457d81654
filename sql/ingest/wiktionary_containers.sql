-- Whether a text among the facts may be a list or an object: DuckDB takes those for a text without a word.
-- Real dumps have links to `[[]]`, which the merge drops as markup; they are not worth a look at every line.
SELECT 1
FROM (SELECT unnest(list_concat([word, lang, pos, gloss, note], string_split(related, chr(31)), tags)) AS t FROM facts)
WHERE t[1] IN ('[', '{') AND t <> '[[]]' AND json_valid(t)
LIMIT 1;
