/**
 * Another server's signing keys: cached, fetched once however many ask, from the server itself and else from the key
 * servers that the operator trusts. A failure takes nothing away: what was known stays known.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
 */

import {
  checkServerKeys,
  isBannedKey,
  isSignedBy,
  keyQueryRequest,
  type PublishedKeys,
  parseKeyAnswer,
  parseKeyQueryAnswer,
  serverKeysRequest,
} from "../../shared/federation-api/keys.ts";
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import type { ServerName } from "../../shared/ids.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { keysForRequest, type VerifyKey } from "../../shared/matrix/key-ring.ts";
import { signingKeyIds } from "../../shared/matrix/signing.ts";
import type { PeerRequest } from "../../shared/rpc/egress.ts";
import type { WantedKeys } from "../../shared/rpc/server-peer.ts";
import type { ServerContext } from "./context.ts";
import type { ServerWriter } from "./store/index.ts";
import type { KeyFetch, KeySource, StoredVerifyKey } from "./store/verify-keys.ts";

/** Between two fetches that succeed: whoever asks for a key that is not there causes one. */
export const minFetchIntervalMs = 10_000;
/** The same, where only a later validity is asked for than a key has that is valid now: an event may say any time. */
export const minExtendIntervalMs = 60 * 60 * 1000;
/** After the first failure; doubles with each further one. */
export const firstBackoffMs = 5_000;
export const maxBackoffMs = 60 * 60 * 1000;
/** After a failure, where it may be the server itself that stands at the door. */
export const strangerBackoffMs = 30_000;
/** More than these make the pause no longer. */
const maxFailures = 20;
/** Keys of one server that are kept. */
export const maxKnownKeys = 200;

/** The keys asked for, as far as they could be had; expired ones too. Never throws for what the server does. */
export async function getVerifyKeys(server: ServerContext, wanted: WantedKeys): Promise<Record<string, VerifyKey>> {
  await fetchIfNeeded(server, wanted);
  const keys = [...knownKeys(server, wanted.keyIds)].map(([keyId, { key, validUntilTs, expiredTs }]) => [
    keyId,
    { key, validUntilTs, expiredTs },
  ]);
  return Object.fromEntries(keys);
}

/** Fetches where that can help and is due: from the server itself, else from key servers. */
export async function fetchIfNeeded(server: ServerContext, wanted: WantedKeys): Promise<void> {
  if (!mayTalkTo(server.config, server.serverName)) return;
  if (needOf(server, wanted) !== null) await fetchFrom(server, "server", wanted);
  // A request is signed with a key that is in use: of those, nobody but the server can say anything.
  const mayAskOthers = wanted.isForStranger !== true && wanted.isDirectOnly !== true;
  if (mayAskOthers && server.config.trustedKeyServers.length > 0 && needOf(server, wanted) === "key") {
    await fetchFrom(server, "keyServers", wanted);
  }
}

/** One fetch at a time from each source, which all share who come meanwhile. */
async function fetchFrom(server: ServerContext, source: KeySource, wanted: WantedKeys): Promise<void> {
  const { running } = server.memory.keyFetches;
  if (running[source] === null) {
    if (server.clock.now() < dueAt(server, source, wanted)) return;
    const begin = source === "server" ? fetchFromServer : fetchFromKeyServers;
    running[source] = begin(server, wanted).finally(() => {
      running[source] = null;
    });
  }
  await running[source];
}

/** The keys of these ids that are known, or all. */
export function knownKeys(server: ServerContext, keyIds: readonly string[]): Map<string, StoredVerifyKey> {
  const known = [...server.store.verifyKeys.all()];
  return new Map(
    known.filter(([keyId, { key }]) => (keyIds.length === 0 || keyIds.includes(keyId)) && !isBannedKey(key)),
  );
}

/** `key`: one is not known, or is no longer valid. `time`: they are valid now, but not at the time asked for. */
type Need = "key" | "time" | null;

function needOf(server: ServerContext, { keyIds, validAt }: WantedKeys): Need {
  const known = knownKeys(server, keyIds);
  if (known.size < Math.max(1, new Set(keyIds).size)) return "key";
  if (validAt === null) return null;
  const now = server.clock.now();
  const ends = [...known.values()].filter(({ expiredTs }) => expiredTs === null).map((key) => key.validUntilTs);
  // Of all keys of a server, those that it has silently stopped using will never be valid again.
  const end = keyIds.length === 0 ? Math.max(...ends) : Math.min(...ends);
  if (ends.length === 0 || validAt <= end) return null;
  return end < now ? "key" : "time";
}

function dueAt(server: ServerContext, source: KeySource, wanted: WantedKeys): number {
  const last = lastFetch(server, source);
  const isExtension = source === "server" && needOf(server, wanted) === "time";
  const afterSuccess = isExtension ? minExtendIntervalMs : minFetchIntervalMs;
  if (last?.failures === 0) return last.attemptedTs + afterSuccess;
  if (wanted.isForStranger === true) {
    const attempts = [server.memory.keyFetches.strangerFailedTs, last?.attemptedTs].map((ts) => ts ?? 0);
    return Math.max(...attempts) + strangerBackoffMs;
  }
  return last === null ? 0 : last.attemptedTs + Math.min(firstBackoffMs * 2 ** (last.failures - 1), maxBackoffMs);
}

function lastFetch(server: ServerContext, source: KeySource): KeyFetch | null {
  const { last } = server.memory.keyFetches;
  last[source] ??= server.store.verifyKeys.findFetch(source);
  return last[source];
}

async function fetchFromServer(server: ServerContext, wanted: WantedKeys): Promise<void> {
  const attemptedTs = server.clock.now();
  const published = await askServer(server, wanted.isForStranger === true);
  if (published !== null) store(server, published, true);
  const { keyFetches } = server.memory;
  // What strangers cause leaves nothing behind, and keeps nobody from asking who has a reason.
  if (published !== null) keyFetches.strangerFailedTs = null;
  else if (wanted.isForStranger === true) keyFetches.strangerFailedTs = attemptedTs;
  if (published !== null || wanted.isForStranger !== true) {
    noteFetch(server, "server", { attemptedTs, isFound: published !== null });
  }
}

async function fetchFromKeyServers(server: ServerContext, wanted: WantedKeys): Promise<void> {
  const attemptedTs = server.clock.now();
  await askKeyServers(server, wanted);
  noteFetch(server, "keyServers", { attemptedTs, isFound: needOf(server, wanted) !== "key" });
}

function noteFetch(
  server: ServerContext,
  source: KeySource,
  { attemptedTs, isFound }: { attemptedTs: number; isFound: boolean },
): void {
  const failures = isFound ? 0 : Math.min((lastFetch(server, source)?.failures ?? 0) + 1, maxFailures);
  server.memory.keyFetches.last[source] = { attemptedTs, failures };
  server.store.transaction((tx) => tx.verifyKeys.setFetch(source, { attemptedTs, failures }));
}

/** What the server itself says of its keys; null when it does not, or nothing valid. */
async function askServer(server: ServerContext, isForStranger: boolean): Promise<PublishedKeys | null> {
  const text = await ask(server, { ...serverKeysRequest(server.serverName), isForStranger });
  const response = text === null ? null : parseKeyAnswer(text);
  if (response === null) return null;
  const published = checkServerKeys(response, server.serverName, server.clock.now());
  if (published === null) server.log.warn("server publishes no valid keys", { server: server.serverName });
  return published;
}

/** Asks one key server after the other until nothing is wanting. */
async function askKeyServers(server: ServerContext, wanted: WantedKeys): Promise<void> {
  const { config, serverName } = server;
  for (const keyServer of config.trustedKeyServers) {
    if (keyServer === serverName || !mayTalkTo(config, keyServer)) continue;
    for (const published of await askKeyServer(server, keyServer, wanted)) store(server, published, false);
    if (needOf(server, wanted) !== "key") return;
  }
}

async function askKeyServer(
  server: ServerContext,
  keyServer: ServerName,
  { keyIds, validAt }: WantedKeys,
): Promise<PublishedKeys[]> {
  const now = server.clock.now();
  const criteria = new Map(keyIds.map((keyId) => [keyId, validAt ?? now]));
  const text = await ask(server, keyQueryRequest(keyServer, new Map([[server.serverName, criteria]])));
  const answers = text === null ? [] : parseKeyQueryAnswer(text).slice(0, maxKnownKeys);
  const usedKeys = [...new Set(answers.flatMap((answer) => signingKeyIds(answer, keyServer)))];
  if (usedKeys.length === 0) return [];
  // Asked of the key server itself only: two that vouch for one another would wait for one another.
  const ofKeyServer = await server.actors
    .server(keyServer)
    .getVerifyKeys({ keyIds: usedKeys, validAt: now, isDirectOnly: true });
  const counting = keysForRequest(ofKeyServer, now);
  return answers.flatMap((answer) => {
    const published = checkServerKeys(answer, server.serverName, now);
    return published !== null && isSignedBy(answer, keyServer, counting) ? [published] : [];
  });
}

async function ask(server: ServerContext, request: PeerRequest): Promise<string | null> {
  const answer = await server.egress.request(request);
  if (answer.kind === "answered" && answer.status === 200) return answer.text;
  const reason = answer.kind === "answered" ? `status ${answer.status}` : answer.reason;
  server.log.info("keys not fetched", { server: server.serverName, from: request.destination, reason });
  return null;
}

function store(server: ServerContext, { keys, response }: PublishedKeys, isFromServer: boolean): void {
  const now = server.clock.now();
  server.store.transaction((tx) => {
    const known = tx.verifyKeys.all();
    const responseNid = tx.verifyKeys.insertResponse(canonicalJson(response, ["unsigned"], "lenient"), now);
    for (const [keyId, told] of keys) {
      const before = known.get(keyId) ?? null;
      const key = before === null ? told : merged(before, told, { isFromServer, now });
      if (key === null) server.log.warn("key id with another key", { server: server.serverName, key_id: keyId });
      else
        tx.verifyKeys.set(keyId, { ...key, isFromServer: isFromServer || before?.isFromServer === true, responseNid });
    }
    dropSurplus(tx);
    tx.verifyKeys.dropOldResponses();
  });
}

/**
 * What a key is after it was told again; null when it is another, which is refused: the id of a key stands for its bytes
 * for good. Only the server itself can contradict what a key server has said of it, and only the server can give a key up
 * that is valid: a key server may repeat an old answer.
 */
function merged(
  before: StoredVerifyKey,
  told: VerifyKey,
  { isFromServer, now }: { isFromServer: boolean; now: number },
): VerifyKey | null {
  if (before.key !== told.key) return isFromServer && !before.isFromServer ? told : null;
  const validUntilTs = Math.max(before.validUntilTs, told.validUntilTs);
  if (isFromServer) return { key: told.key, validUntilTs, expiredTs: told.expiredTs };
  const isValid = before.expiredTs === null && before.validUntilTs >= now;
  return { key: told.key, validUntilTs, expiredTs: before.expiredTs ?? (isValid ? null : told.expiredTs) };
}

/** Drops the keys that were told longest ago, so that a server with a new key each day does not fill the database. */
function dropSurplus(tx: ServerWriter): void {
  for (const keyId of [...tx.verifyKeys.all().keys()].slice(maxKnownKeys)) tx.verifyKeys.delete(keyId);
}
