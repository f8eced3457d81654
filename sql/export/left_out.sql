-- How many edges of the wanted languages and kinds an export leaves out, since their licences do not allow it.
SELECT count(*)
FROM relations
WHERE is_wanted(lang)
    AND (getvariable('kinds') IS NULL OR list_contains(getvariable('kinds')::VARCHAR[], kind))
    AND id NOT IN (SELECT id FROM out_relations);
