-- Text inside XML, in an attribute or between tags. What XML forbids (control characters, U+FFFE, U+FFFF) and the
-- carriage return, which readers turn into a line feed, is written as \u0001.

CREATE OR REPLACE TEMP MACRO xml_legal(t) AS CASE
    WHEN NOT regexp_matches(t, '[\x{00}-\x{08}\x{0B}-\x{1F}\x{FFFE}\x{FFFF}]') THEN t
    ELSE array_to_string(list_transform(string_split(t, ''), lambda c: CASE
        WHEN regexp_matches(c, '[\x{00}-\x{08}\x{0B}-\x{1F}\x{FFFE}\x{FFFF}]') THEN '\u' || printf('%04x', unicode(c))
        ELSE c END), '') END;

CREATE OR REPLACE TEMP MACRO xml_text(t) AS replace(replace(replace(replace(replace(replace(
    xml_legal(t), '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), chr(9), '&#9;'), chr(10), '&#10;');
