import type { Sql } from "../../../schema/sql.ts";
import { nodeWidth, type StateNode, type StateNodes, type StateNodeWriter } from "../state-tree.ts";
import type { RoomCaches } from "./cache.ts";

type NodeRow = { height: number; entries: Uint8Array };

/** SQL of the table `state_nodes`. Nodes never change, so they are cached. */
export class StateNodesReader implements StateNodes {
  protected readonly sql: Sql;
  protected readonly caches: RoomCaches;

  constructor(sql: Sql, caches: RoomCaches) {
    this.sql = sql;
    this.caches = caches;
  }

  /** @throws Error when there is no such node: roots are only taken from this database. */
  get(nodeNid: number): StateNode {
    const cached = this.caches.nodes.get(nodeNid);
    if (cached !== undefined) return cached;
    const row = this.sql.one<NodeRow>("SELECT height, entries FROM state_nodes WHERE node_nid = ?", nodeNid);
    if (row === null) throw new Error("a node of a state vector is missing");
    const node = { height: row.height, entries: decodeEntries(row.entries) };
    this.caches.nodes.set(nodeNid, node);
    return node;
  }
}

/** Exists only inside a transaction. */
export class StateNodesWriter extends StateNodesReader implements StateNodeWriter {
  insert(node: StateNode): number {
    const row = this.sql.one<{ node_nid: number }>(
      "INSERT INTO state_nodes (height, entries) VALUES (?, ?) RETURNING node_nid",
      node.height,
      encodeEntries(node.entries),
    );
    if (row === null) throw new Error("a node of a state vector was not stored");
    this.caches.nodes.set(row.node_nid, node);
    this.caches.writes += 1;
    return row.node_nid;
  }
}

function encodeEntries(entries: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(nodeWidth * 4);
  const view = new DataView(bytes.buffer);
  for (const [slot, entry] of entries.entries()) view.setUint32(slot * 4, entry, true);
  return bytes;
}

function decodeEntries(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: nodeWidth }, (_, slot) => view.getUint32(slot * 4, true));
}
