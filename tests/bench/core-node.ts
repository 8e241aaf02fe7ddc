/**
 * The room's core in Node over SQLite on disk, in a process whose heap is bounded by its command line. Writes its progress
 * to standard error, and its rows to standard output as JSON.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { getHeapStatistics } from "node:v8";
import type { RoomContext } from "../../actors/room/context.ts";
import type { CoreHost, RoomName } from "./core-measures.ts";

// Node does not import SQL; the server's bundler makes text of it.
registerHooks({
  load(url, context, nextLoad) {
    if (!url.endsWith(".sql")) return nextLoad(url, context);
    const text = readFileSync(fileURLToPath(url), "utf8");
    return { format: "module", shortCircuit: true, source: `export default ${JSON.stringify(text)};` };
  },
});

const { roomContext } = await import("../../actors/room/context.ts");
const { migrate } = await import("../../schema/migrate.ts");
const { roomMigrations } = await import("../../schema/room/index.ts");
const { createWorld } = await import("../actors/room/world.ts");
const { openNodeSql } = await import("../support/node-sql.ts");
const { measureCanonicalJson, measureChecks } = await import("./core-checks.ts");
const { measureCore } = await import("./core-measures.ts");
const { findLargeRoom, makeLargeRoom, roomIdOf } = await import("./core-room.ts");
const { measureReading, measureResolution, measureSends } = await import("./core-state.ts");

const folder = mkdtempSync(join(tmpdir(), "tessera-bench-"));
const world = createWorld();
const rooms = new Map<RoomName, RoomContext>();

function roomOf(name: RoomName): RoomContext {
  const room = rooms.get(name);
  if (room === undefined) throw new Error("the room was not built");
  return room;
}

const host: CoreHost = {
  checks: async () => measureChecks(),
  canonicalJson: async () => measureCanonicalJson(),
  build: async (name, size) => {
    const sql = openNodeSql(join(folder, `${name}.sqlite`));
    migrate(sql, roomMigrations);
    const roomId = roomIdOf(name);
    const room = roomContext({ ...world.room(roomId).context, sql }, roomId);
    rooms.set(name, room);
    return makeLargeRoom(room, size);
  },
  reading: async () => measureReading(findLargeRoom(roomOf("large"))),
  resolution: async (input) => measureResolution(findLargeRoom(roomOf("large")), input),
  sends: (name, round, count) => measureSends(roomOf(name), round, count),
  heapMib: () => {
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / 2 ** 20;
  },
};

try {
  const rows = await measureCore(host, (line) => process.stderr.write(`in Node: ${line}\n`));
  const limitMib = Math.round(getHeapStatistics().heap_size_limit / 2 ** 20);
  process.stdout.write(JSON.stringify({ rows, limitMib }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
