"""Runs a lattice and prints its outcome as one line of JSON."""

import json
import sys

import covalent as ct


def dispatch(lattice, *args, **kwargs):
    dispatch_id = ct.dispatch(lattice)(*args, **kwargs)
    result = ct.get_result(dispatch_id, wait=True)
    graph = result.lattice.transport_graph
    names = [graph.get_node_value(number, "name") for number in graph._graph.nodes]
    nodes = {}
    for node in result.get_all_node_outputs():
        number = int(node.rsplit("(", 1)[1].rstrip(")"))
        nodes[graph.get_node_value(number, "name")] = {
            "number": number,
            "status": str(graph.get_node_value(number, "status")),
            "error": graph.get_node_value(number, "error"),
            "stdout": graph.get_node_value(number, "stdout"),
            "stderr": graph.get_node_value(number, "stderr"),
        }
    status = str(result.status)
    value = result.result if status == "COMPLETED" else None
    record = {"dispatch_id": dispatch_id, "status": status, "result": value, "nodes": nodes}
    record["names"] = names
    sys.stdout.write("\n" + json.dumps(record) + "\n")
