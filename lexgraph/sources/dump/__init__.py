"""The parts of the reader of Wiktionary dumps: bytes to pages, pages to sections, sections to rows."""
