"""GraphML, GEXF and node-link JSON, streamed: DuckDB makes the text of each node and edge.

networkx writes the same files, but builds the whole document in memory: of 315,000 edges that took 73 s and 1.7 GB for
GraphML.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lexgraph.database import Connection, run_script
from lexgraph.export.networks import node_names

_NODES = {"word": "word", "lang": "lang"}
_EDGES = {
    "kind": "kind",
    "source": "source",
    "licences": "array_to_string(licences, '|')",
    "pos": "pos",
    "gloss": "gloss",
    "note": "note",
    "tags": "array_to_string(tags, '|')",
    "rule": "rule",
    "derived_from": "derived_from::VARCHAR",
    "negated": "array_to_string(negated, '|')",
}
_AT_ONCE = 20_000


@dataclass(frozen=True)
class _Document:
    """The parts of a file: what stands around nodes and edges, and SQL for the text of one of each."""

    head: str
    node: str
    between: str
    edge: str
    foot: str
    separator: str = "\n"


def write_graph(connection: Connection, format_: str, path: Path) -> None:
    """Write the selected rows as `graphml`, `gexf` or `node-link`.

    Lists (tags, negated words, licences) are joined by `|` in the XML formats, which have none. Node-link JSON uses the
    name `source` for the node that an edge leaves, so the source that states it is called `provenance` there.
    """
    run_script(connection, "export/xml")
    names = node_names(connection, "FROM out_words")
    document = {"graphml": _graphml, "gexf": _gexf, "node-link": _node_link}[format_](*names)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(document.head)
        for index, (element, table) in enumerate(((document.node, "out_words"), (document.edge, "out_relations"))):
            file.write(document.between if index else "")
            result = connection.execute(f"SELECT {element} FROM {table}")
            before = "\n"
            while rows := result.fetchmany(_AT_ONCE):
                file.write(before + document.separator.join(text for (text,) in rows))
                before = document.separator
        file.write(document.foot)


def _graphml(name: str, other: str) -> _Document:
    keys = "\n".join(
        f'<key id="{key}" for="{of}" attr.name="{key}" attr.type="string"/>'
        for of, attributes in (("node", _NODES), ("edge", _EDGES))
        for key in attributes
    )

    def data(attributes: dict[str, str]) -> str:
        return " || ".join(
            f"coalesce('<data key=\"{key}\">' || xml_text({value}) || '</data>', '')"
            for key, value in attributes.items()
        )

    return _Document(
        '<?xml version="1.0" encoding="utf-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        f'{keys}\n<graph edgedefault="directed">',
        f"'<node id=\"' || xml_text({name}) || '\">' || {data(_NODES)} || '</node>'",
        "",
        f"'<edge id=\"' || id || '\" source=\"' || xml_text({name}) || '\" target=\"' || xml_text({other}) || '\">' "
        f"|| {data(_EDGES)} || '</edge>'",
        "\n</graph>\n</graphml>\n",
    )


def _gexf(name: str, other: str) -> _Document:
    declared = "\n".join(
        f'<attributes class="{of}" mode="static">'
        + "".join(f'<attribute id="{key}" title="{key}" type="string"/>' for key in attributes)
        + "</attributes>"
        for of, attributes in (("node", _NODES), ("edge", _EDGES))
    )

    def data(attributes: dict[str, str]) -> str:
        values = " || ".join(
            f"coalesce('<attvalue for=\"{key}\" value=\"' || xml_text({value}) || '\"/>', '')"
            for key, value in attributes.items()
        )
        return f"'<attvalues>' || {values} || '</attvalues>'"

    return _Document(
        '<?xml version="1.0" encoding="utf-8"?>\n<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2">\n'
        f'<graph defaultedgetype="directed" mode="static">\n{declared}\n<nodes>',
        f"'<node id=\"' || xml_text({name}) || '\" label=\"' || xml_text(word) || '\">' || {data(_NODES)} || '</node>'",
        "\n</nodes>\n<edges>",
        f"'<edge id=\"' || id || '\" source=\"' || xml_text({name}) || '\" target=\"' || xml_text({other}) || '\">' "
        f"|| {data(_EDGES)} || '</edge>'",
        "\n</edges>\n</graph>\n</gexf>\n",
    )


def _node_link(name: str, other: str) -> _Document:
    lists = {"licences": "licences", "tags": "tags", "negated": "negated"}
    attributes = {"provenance" if key == "source" else key: value for key, value in (_EDGES | lists).items()}
    values = ", ".join(f"{key} := {value}" for key, value in attributes.items())
    # A merge patch leaves out what is NULL.
    return _Document(
        '{"directed": true, "multigraph": true, "graph": {}, "nodes": [',
        f"to_json(struct_pack(id := {name}, word := word, lang := lang))::VARCHAR",
        '\n], "edges": [',
        f"json_merge_patch('{{}}', to_json(struct_pack(source := {name}, target := {other}, "
        f"key := id::VARCHAR, {values})))::VARCHAR",
        "\n]}\n",
        ",\n",
    )
