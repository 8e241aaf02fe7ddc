/**
 * The room's states as a persistent vector: `state_key_nid → event_nid`, kept as a tree of immutable nodes of 64
 * entries that versions share. Setting one key writes one node a level; two states are compared by walking only the
 * nodes in which they differ.
 *
 * Functions here know nothing of SQL: nodes come from {@link StateNodes}. Recursion is bounded by the tree's height,
 * which is at most {@link maxHeight}.
 */

/** Entries of a node. */
export const nodeWidth = 64;
/** 64^6 entries exceed 32 bits. */
const maxHeight = 5;

/** Number of the root node; null: the empty state. */
export type StateRoot = number | null;

export interface StateNode {
  /** 0: entries are event numbers; n: entries are nodes of height n - 1. */
  readonly height: number;
  /** 64 entries; 0 is "nothing here". */
  readonly entries: Uint32Array;
}

/** Where nodes are read. */
export interface StateNodes {
  get(nodeNid: number): StateNode;
}

/** Where nodes are read and written. */
export interface StateNodeWriter extends StateNodes {
  insert(node: StateNode): number;
}

/** One key in which two states differ; 0: the key is not set there. */
export interface StateDifference {
  readonly stateKeyNid: number;
  readonly left: number;
  readonly right: number;
}

/** Number of keys below one entry of a node. */
function spanOf(height: number): number {
  return nodeWidth ** height;
}

/** The event number that `root` has for a key; 0 when it has none. */
export function getEntry(nodes: StateNodes, root: StateRoot, stateKeyNid: number): number {
  if (root === null) return 0;
  let node = nodes.get(root);
  let key = stateKeyNid;
  if (key >= spanOf(node.height + 1)) return 0;
  while (node.height > 0) {
    const span = spanOf(node.height);
    const child = node.entries[Math.floor(key / span)] ?? 0;
    if (child === 0) return 0;
    key %= span;
    node = nodes.get(child);
  }
  return node.entries[key] ?? 0;
}

/**
 * The state in which the keys of `changes` have new values; 0 removes a key. Writes the nodes on the way to them.
 *
 * @param changes `state_key_nid → event_nid`.
 */
export function setEntries(nodes: StateNodeWriter, root: StateRoot, changes: ReadonlyMap<number, number>): StateRoot {
  if (changes.size === 0) return root;
  const height = Math.max(root === null ? 0 : nodes.get(root).height, heightFor(changes.keys()));
  const lifted = root === null ? 0 : lift(nodes, root, height);
  const updated = update(nodes, lifted, height, [...changes]);
  return updated === 0 ? null : updated;
}

/** The least height of a tree that holds all of the keys. */
function heightFor(keys: Iterable<number>): number {
  let largest = 0;
  for (const key of keys) largest = Math.max(largest, key);
  let height = 0;
  while (spanOf(height + 1) <= largest) height += 1;
  if (height > maxHeight) throw new Error("a state key number has more than 32 bits");
  return height;
}

/** Puts a tree below new roots until it has the height wanted. */
function lift(nodes: StateNodeWriter, root: number, height: number): number {
  let nodeNid = root;
  for (let level = nodes.get(root).height + 1; level <= height; level += 1) {
    const entries = new Uint32Array(nodeWidth);
    entries[0] = nodeNid;
    nodeNid = nodes.insert({ height: level, entries });
  }
  return nodeNid;
}

function update(nodes: StateNodeWriter, nodeNid: number, height: number, changes: [number, number][]): number {
  const before = nodeNid === 0 ? null : nodes.get(nodeNid);
  const entries = before === null ? new Uint32Array(nodeWidth) : before.entries.slice();
  if (height === 0) {
    for (const [key, value] of changes) entries[key] = value;
  } else {
    for (const [slot, below] of bySlot(changes, spanOf(height))) {
      entries[slot] = update(nodes, entries[slot] ?? 0, height - 1, below);
    }
  }
  if (entries.every((entry) => entry === 0)) return 0;
  if (before?.entries.every((entry, slot) => entry === entries[slot])) return nodeNid;
  return nodes.insert({ height, entries });
}

function bySlot(changes: [number, number][], span: number): Map<number, [number, number][]> {
  const slots = new Map<number, [number, number][]>();
  for (const [key, value] of changes) {
    const slot = Math.floor(key / span);
    const below = slots.get(slot);
    if (below === undefined) slots.set(slot, [[key % span, value]]);
    else below.push([key % span, value]);
  }
  return slots;
}

/** All of a state, `[state_key_nid, event_nid]`, by ascending key. */
export function* entriesOf(nodes: StateNodes, root: StateRoot): Generator<[number, number]> {
  if (root !== null) yield* entriesBelow(nodes, nodes.get(root), 0);
}

function* entriesBelow(nodes: StateNodes, node: StateNode, offset: number): Generator<[number, number]> {
  const span = spanOf(node.height);
  for (const [slot, entry] of node.entries.entries()) {
    if (entry === 0) continue;
    if (node.height === 0) yield [offset + slot, entry];
    else yield* entriesBelow(nodes, nodes.get(entry), offset + slot * span);
  }
}

/** The keys in which two states differ, ascending. Costs in proportion to the nodes that differ. */
export function* differencesOf(nodes: StateNodes, left: StateRoot, right: StateRoot): Generator<StateDifference> {
  const leftHeight = left === null ? 0 : nodes.get(left).height;
  const rightHeight = right === null ? 0 : nodes.get(right).height;
  const height = Math.max(leftHeight, rightHeight);
  yield* differencesBelow(
    nodes,
    { nodeNid: left ?? 0, height: leftHeight },
    { nodeNid: right ?? 0, height: rightHeight },
    {
      height,
      offset: 0,
    },
  );
}

interface Subtree {
  /** 0: nothing here. */
  readonly nodeNid: number;
  readonly height: number;
}

function* differencesBelow(
  nodes: StateNodes,
  left: Subtree,
  right: Subtree,
  at: { height: number; offset: number },
): Generator<StateDifference> {
  if (left.nodeNid === right.nodeNid) return;
  const span = spanOf(at.height);
  const [leftEntries, rightEntries] = [entriesAt(nodes, left, at.height), entriesAt(nodes, right, at.height)];
  for (let slot = 0; slot < nodeWidth; slot += 1) {
    const [leftEntry, rightEntry] = [leftEntries[slot] ?? 0, rightEntries[slot] ?? 0];
    if (leftEntry === rightEntry) continue;
    const offset = at.offset + slot * span;
    if (at.height === 0) yield { stateKeyNid: offset, left: leftEntry, right: rightEntry };
    else {
      const below = { height: at.height - 1, offset };
      yield* differencesBelow(nodes, childOf(left, leftEntry, at.height), childOf(right, rightEntry, at.height), below);
    }
  }
}

/** The entries that a tree has at a height; a lower tree stands in slot 0 of the levels that it lacks. */
function entriesAt(nodes: StateNodes, tree: Subtree, height: number): Uint32Array {
  if (tree.nodeNid !== 0 && tree.height === height) return nodes.get(tree.nodeNid).entries;
  const entries = new Uint32Array(nodeWidth);
  if (tree.nodeNid !== 0) entries[0] = tree.nodeNid;
  return entries;
}

function childOf(parent: Subtree, nodeNid: number, height: number): Subtree {
  return { nodeNid, height: parent.height < height ? parent.height : height - 1 };
}
