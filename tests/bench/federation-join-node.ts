/**
 * Joins of large rooms in a process whose heap is bounded by its command line: one homeserver, and a resident that this
 * process plays, who streams the room from a file. Writes its progress to standard error, and its results to standard
 * output as JSON.
 */
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { getHeapStatistics } from "node:v8";
import type { JoinResult } from "./federation-join.ts";
import type { JoinedRoom } from "./federation-join-room.ts";

// Node does not import SQL, nor WebAssembly as the server's bundler gives it: as text, and as a module.
registerHooks({
  load(url, context, nextLoad) {
    if (url.endsWith(".wasm")) {
      const path = JSON.stringify(fileURLToPath(url));
      const source = `import { readFileSync } from "node:fs"; export default new WebAssembly.Module(readFileSync(${path}));`;
      return { format: "module", shortCircuit: true, source };
    }
    if (!url.endsWith(".sql")) return nextLoad(url, context);
    const text = readFileSync(fileURLToPath(url), "utf8");
    return { format: "module", shortCircuit: true, source: `export default ${JSON.stringify(text)};` };
  },
});

const { Federation } = await import("../support/federation.ts");
const { TestPeer } = await import("../support/test-peer.ts");
const { serverNames, writeRoom } = await import("./federation-join-room.ts");

const sampleMs = 20;

/** A federation in which a long answer is never in memory as a whole. */
class StreamingFederation extends Federation {
  room: JoinedRoom | null = null;

  override async exchange(...args: Parameters<InstanceType<typeof Federation>["exchange"]>) {
    const [from, target, request] = args;
    const { room } = this;
    if (room === null || !request.path.includes("/federation/v1/state/")) return super.exchange(from, target, request);
    const body = Readable.toWeb(createReadStream(room.file, { highWaterMark: 65_536 }));
    return { status: 200, headers: new Headers(), body: new Response(body).body };
  }
}

async function measure(members: number, folder: string): Promise<JoinResult> {
  const federation = new StreamingFederation();
  const server = federation.server("bench.test");
  const bob = await server.user("bob");
  const peers = serverNames.map((name) => new TestPeer(federation, name));
  for (const peer of peers) peer.on(/\/v1\/send\//, () => ({ pdus: {} }));
  const room = writeRoom(members, join(folder, `${members}.json`));
  federation.room = room;
  const [resident] = peers;
  resident?.on(/\/make_join\//, () => room.template(bob.userId));
  resident?.on(/\/send_join\//, async (request) => room.answer(await request.json()));
  let peakMib = 0;
  let longestPauseMs = 0;
  let cpuAtSample = process.cpuUsage();
  const sample = (): void => {
    peakMib = Math.max(peakMib, heapMib());
    const { user, system } = process.cpuUsage(cpuAtSample);
    longestPauseMs = Math.max(longestPauseMs, (user + system) / 1_000);
    cpuAtSample = process.cpuUsage();
  };
  const timer = setInterval(sample, sampleMs);
  const path = encodeURIComponent(room.roomId);
  globalThis.gc?.();
  cpuAtSample = process.cpuUsage();
  const begunAt = performance.now();
  const cpuAtFirst = process.cpuUsage();
  const joined = await bob.post(`v3/join/${path}?via=${serverNames[0]}`);
  const sent = await bob.put(`v3/rooms/${path}/send/m.room.message/1`, { body: "hello" });
  const filter = encodeURIComponent(JSON.stringify({ room: { state: { lazy_load_members: true } } }));
  const synced = JSON.stringify(await bob.sync(`&filter=${filter}`));
  const usableMs = performance.now() - begunAt;
  if (joined.status !== 200 || sent.status !== 200 || !synced.includes("hello")) throw new Error(joined.text);
  process.stderr.write(`${members} members: usable after ${Math.round(usableMs)} ms\n`);
  await federation.advance(60_000);
  const completeMs = performance.now() - begunAt;
  const { user: userCpu, system } = process.cpuUsage(cpuAtFirst);
  const cpuMs = (userCpu + system) / 1_000;
  clearInterval(timer);
  sample();
  const sql = server.sql("room", room.roomId);
  const count = sql.one<{ count: number }>("SELECT COUNT(*) AS count FROM room_memberships WHERE membership = 'join'");
  const isWhole = sql.one("SELECT id FROM partial_state") === null && count?.count === members + 2;
  process.stderr.write(
    `${members} members: complete after ${Math.round(completeMs)} ms (CPU ${Math.round(cpuMs)} ms), longest pause ${Math.round(longestPauseMs)} ms, ${Math.round(peakMib)} MiB\n`,
  );
  if (!isWhole) throw new Error(`${count?.count} members in place of ${members + 2}`);
  federation.close();
  return { members, usableMs, completeMs, cpuMs, longestPauseMs, peakMib };
}

function heapMib(): number {
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

const folder = mkdtempSync(join(tmpdir(), "tessera-bench-join-"));
try {
  const results: JoinResult[] = [];
  for (const members of process.argv.slice(2).map(Number)) results.push(await measure(members, folder));
  const limitMib = Math.round(getHeapStatistics().heap_size_limit / 2 ** 20);
  writeFileSync(1, JSON.stringify({ results, limitMib }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
