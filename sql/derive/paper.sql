-- The blind stripping of the DSKD paper's own code, for comparison: wherever MorphoLEX names a morpheme that can negate,
-- it is taken off, bound root or not, and what is left of the segmentation, put together, is the base:
-- {<a<(quit)} acquit - quit, {<in<(stall)}>ion> installation - stallion. Fills `negations`.

CREATE OR REPLACE TEMP TABLE negations AS
WITH morphemes AS (
    SELECT word, lang, prefixes, roots, suffixes,
           list_filter(prefixes, lambda p: p IN ('a', 'an', 'anti', 'de', 'dis', 'im', 'in', 'mis', 'non', 'un')) AS taken,
           list_contains(suffixes, 'less') AS less
    FROM morphology WHERE lang = 'en' AND source <> 'negation'
), stripped AS (
    SELECT word, lang, CASE WHEN len(taken) > 0 THEN taken[1] || '-' ELSE '-less' END AS affix,
           array_to_string(
               list_filter(prefixes, lambda p: len(taken) = 0 OR p <> taken[1]) || roots
               || list_filter(suffixes, lambda s: len(taken) > 0 OR s <> 'less'), '') AS base
    FROM morphemes WHERE len(taken) > 0 OR less
)
SELECT word, lang, base, affix, CASE affix WHEN '-less' THEN 'lack' ELSE 'contrary' END AS kind, ['stripping'] AS evidence
FROM stripped WHERE base <> '' AND base <> word
QUALIFY row_number() OVER (PARTITION BY word, lang ORDER BY affix, base) = 1;
