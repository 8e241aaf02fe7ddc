/**
 * `npm run bench -- federation-outbound`: messages in a room with a hundred other servers, some of which are dead, over
 * real TLS connections. How long it takes from sending a message until each living server has it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { startHomeserverProcess } from "../e2e/homeserver-process.ts";
import { federationVariables } from "../support/federated-homeservers.ts";
import { freePort } from "../support/homeserver.ts";
import { BenchPeer } from "./federation-peers.ts";
import { apiOf, textField } from "./http.ts";
import { describeMachine } from "./machine.ts";
import { percentiles } from "./measure.ts";
import { makeOneUser, type User } from "./world.ts";

const peerCount = 100;
const silentCount = 5;
const goneCount = 5;
const messageCount = 40;
/** A message every so often. */
const pauseMs = 500;
const targetMs = 2_000;

/** Measures and prints a table. @returns whether the target was met and nothing was lost */
export async function benchFederationOutbound(): Promise<boolean> {
  const env = federationVariables(await freePort());
  const server = await startHomeserverProcess({ env });
  const peers: BenchPeer[] = [];
  try {
    const sentAt = new Map<string, number>();
    const times = new Map<string, number>();
    for (let index = 0; index < peerCount; index += 1) {
      peers.push(await BenchPeer.start((body) => noteArrival({ sentAt, times }, index, body)));
    }
    const api = apiOf(server.baseUrl);
    const alice = await makeOneUser(api, "alice");
    const answer = await alice.api.call("POST", "/_matrix/client/v3/createRoom", {
      preset: "public_chat",
      room_version: "12",
    });
    const roomId = textField(answer, "room_id");
    const homeserver = { baseUrl: server.baseUrl, serverName: env.SERVER_NAME ?? "" };
    for (const peer of peers) await peer.join(homeserver, roomId);
    // The joins themselves are sent to all who were there before.
    await delay(5_000);
    for (const [index, peer] of peers.entries()) {
      peer.transactions = 0;
      if (index < silentCount) peer.state = "silent";
      else if (index < silentCount + goneCount) peer.stop();
    }
    for (let index = 0; index < messageCount; index += 1) {
      const body = `message ${index}`;
      sentAt.set(body, performance.now());
      await send(alice, roomId, body);
      await delay(pauseMs);
    }
    await delay(5_000);
    api.close();
    return report([...times.values()], peers.slice(0, silentCount));
  } finally {
    for (const peer of peers) peer.stop();
    await server.dispose();
  }
}

function noteArrival(
  { sentAt, times }: { sentAt: ReadonlyMap<string, number>; times: Map<string, number> },
  peer: number,
  body: string,
): void {
  const startedAt = sentAt.get(body);
  const key = `${peer} ${body}`;
  if (startedAt !== undefined && !times.has(key)) times.set(key, performance.now() - startedAt);
}

async function send(user: User, roomId: string, body: string): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${encodeURIComponent(body)}`;
  await user.api.call("PUT", path, { msgtype: "m.text", body });
}

function report(times: readonly number[], silent: readonly BenchPeer[]): boolean {
  const expected = (peerCount - silentCount - goneCount) * messageCount;
  const { p50, p95, p99 } = percentiles(times);
  const inTime = times.filter((time) => time <= targetMs).length / expected;
  const attempts = silent.reduce((sum, { transactions }) => sum + transactions, 0);
  const { cores, cpu, memoryGib, node, workerd } = describeMachine();
  const lines = [
    `On ${cores} cores (${cpu}, ${memoryGib} GiB), shared with the ${peerCount} servers; workerd ${workerd}; Node ${node}.`,
    "",
    "| outbound federation | result | target |",
    "|---|---:|---:|",
    `| a message to ${peerCount} servers of which ${silentCount} never answer and ${goneCount} refuse: p50, p95, p99 | ${[p50, p95, p99].map(Math.round).join(", ")} ms | |`,
    `| delivered within ${targetMs / 1_000} s | ${(inTime * 100).toFixed(1)} % | 95 % |`,
    `| lost | ${expected - times.length} of ${expected} | 0 |`,
    `| transactions to the ${silentCount} that never answer | ${attempts} | |`,
  ];
  process.stdout.write(`\n${lines.join("\n")}\n`);
  return inTime >= 0.95 && times.length === expected;
}
