/** Collecting the keys that events are to be checked by. */
import type { Config } from "../env.ts";
import { parseServerName, type ServerName } from "../ids.ts";
import { field, type JsonObject, stringField } from "../json.ts";
import { numberValue } from "../matrix/exact-numbers.ts";
import { type KeyRing, keysForRequest, possibleSigners, type VerifyKey } from "../matrix/key-ring.ts";
import { signingKeyIds } from "../matrix/signing.ts";
import { inParallel } from "../parallel.ts";
import type { Actors } from "../rpc/actors.ts";
import type { PeerAnswer, PeerRequest } from "../rpc/egress.ts";
import { checkServerKeys, isSignedBy, keyQueryRequest, parseKeyQueryAnswer } from "./keys.ts";
import { mayTalkTo } from "./peers.ts";

/** Where keys are asked for. */
export interface KeySources {
  readonly actors: Actors;
  readonly config: Config;
}

/** Actors of servers that are asked at the same time, at most. */
const maxConcurrent = 50;
/** Keys of one server that are asked for, at most: an event may bear any number of signatures. */
const maxKeyIds = 50;

/** Servers in one question to a notary. */
const maxPerQuery = 100;
/** Answers of a notary that are looked at: of each server that was asked for, some. */
const maxResponses = 1_000;

/**
 * A server that is asked for others' keys though the operator does not trust it in that: the one through which a room is
 * joined, for the events of servers that are gone. What it says counts for these events, and is not remembered: with a
 * key of its own making it could speak as a server that is away in every other room.
 */
export interface Notary {
  readonly serverName: ServerName;
  readonly request: (input: PeerRequest) => Promise<PeerAnswer>;
  readonly nowMs: number;
}

interface Wanted {
  readonly keyIds: Set<string>;
  /** The latest time of an event by that server. */
  validAt: number;
}

/**
 * Collects the keys of all servers that have signed these events, each server asked once. What could not be had is not in
 * the ring: the events that need it do not pass.
 *
 * @param pdus as `parseExactly` gives them, from anywhere
 * @param notary whom to ask for what the servers themselves did not say; see {@link Notary}.
 * @see https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export async function fetchKeyRing(
  sources: KeySources,
  pdus: readonly JsonObject[],
  notary: Notary | null = null,
): Promise<KeyRing> {
  const wanted = [...wantedKeys(pdus)].filter(
    ([server]) => server === sources.config.serverName || mayTalkTo(sources.config, server),
  );
  const ring: Record<ServerName, Record<string, VerifyKey>> = {};
  await inParallel(wanted, maxConcurrent, async ([server, { keyIds, validAt }]) => {
    const keys = await sources.actors.server(server).getVerifyKeys({ keyIds: [...keyIds], validAt });
    if (Object.keys(keys).length > 0) ring[server] = keys;
  });
  return notary === null ? ring : await withHearsay(sources, ring, { wanted, notary });
}

/** A ring with what the notary knows of keys that are not in it. What is in it stays. */
async function withHearsay(
  { actors }: KeySources,
  ring: Record<ServerName, Record<string, VerifyKey>>,
  { wanted, notary }: { wanted: readonly [ServerName, Wanted][]; notary: Notary },
): Promise<KeyRing> {
  const missing = new Map<ServerName, Map<string, number>>();
  for (const [server, { keyIds, validAt }] of wanted) {
    const known = ring[server] ?? {};
    const unknown = [...keyIds].filter((keyId) => !Object.hasOwn(known, keyId));
    if (unknown.length > 0) missing.set(server, new Map(unknown.map((keyId) => [keyId, validAt])));
  }
  const servers = [...missing];
  for (let start = 0; start < servers.length; start += maxPerQuery) {
    const asked = new Map(servers.slice(start, start + maxPerQuery));
    const told = await askNotary(actors, notary, asked);
    // Whoever does not answer once is not asked on.
    if (told === null) break;
    for (const [server, keys] of told) ring[server] = { ...keys, ...ring[server] };
  }
  return ring;
}

async function askNotary(
  actors: Actors,
  { serverName, request, nowMs }: Notary,
  asked: ReadonlyMap<ServerName, ReadonlyMap<string, number>>,
): Promise<[ServerName, Record<string, VerifyKey>][] | null> {
  const answer = await request(keyQueryRequest(serverName, asked));
  if (answer.kind === "unreachable" || answer.status !== 200) return null;
  const responses = parseKeyQueryAnswer(answer.text).slice(0, maxResponses);
  const keyIds = [...new Set(responses.flatMap((response) => signingKeyIds(response, serverName)))].slice(0, maxKeyIds);
  if (keyIds.length === 0) return [];
  const ofNotary = await actors.server(serverName).getVerifyKeys({ keyIds, validAt: nowMs, isDirectOnly: true });
  const counting = keysForRequest(ofNotary, nowMs);
  return responses.flatMap((response): [ServerName, Record<string, VerifyKey>][] => {
    const server = parseServerName(stringField(response, "server_name") ?? "");
    const wanted = server === null ? undefined : asked.get(server);
    if (server === null || wanted === undefined || !isSignedBy(response, serverName, counting)) return [];
    const published = checkServerKeys(response, server, nowMs)?.keys ?? [];
    return [[server, Object.fromEntries([...published].filter(([keyId]) => wanted.has(keyId)))]];
  });
}

function wantedKeys(pdus: readonly JsonObject[]): Map<ServerName, Wanted> {
  const wanted = new Map<ServerName, Wanted>();
  for (const pdu of pdus) {
    const sentAt = numberValue(field(pdu, "origin_server_ts")) ?? 0;
    for (const [server, keyIds] of possibleSigners(pdu)) {
      const ofServer = wanted.get(server) ?? { keyIds: new Set<string>(), validAt: 0 };
      ofServer.validAt = Math.max(ofServer.validAt, sentAt);
      for (const keyId of keyIds) if (ofServer.keyIds.size < maxKeyIds) ofServer.keyIds.add(keyId);
      wanted.set(server, ofServer);
    }
  }
  return wanted;
}
