-- The edges of an export as JSON Lines have them. Ids are text: they are larger than JSON's readers can count.
SELECT id::VARCHAR AS id, word, related, lang, kind, pos, source, licences, note, gloss, tags, rests_on,
    rule, derived_from::VARCHAR AS derived_from, negated
FROM out_relations
