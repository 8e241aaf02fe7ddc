/** Servers that a test plays, and what they publish of their keys. */
import type { Variables } from "../../shared/env.ts";
import type { KeySources } from "../../shared/federation-api/key-ring.ts";
import { type ServerName, trusted } from "../../shared/ids.ts";
import { isObject, type JsonObject, objectField } from "../../shared/json.ts";
import { publicKeyOf, type SigningKey, signJson } from "../../shared/matrix/signing.ts";
import type { WantedKeys } from "../../shared/rpc/server-peer.ts";
import { type FederatedServer, Federation } from "./federation.ts";
import { testKeyOf } from "./room-builder.ts";

export const us = trusted.serverName("one.test");
export const peer = trusted.serverName("peer.test");
export const notary = trusted.serverName("notary.test");
export const keyPath = "/_matrix/key/v2/server";
export const queryPath = "/_matrix/key/v2/query";
export const day = 24 * 3_600_000;

/** The federation of the test that runs; {@link start} makes it anew. */
export let federation = new Federation();

/** A key of a server that the test plays. */
export const key = (name: string, of: ServerName = peer): SigningKey => ({
  keyId: `ed25519:${name}`,
  seed: testKeyOf(trusted.serverName(`${name}.${of}`)).seed,
});

export interface Published {
  readonly keys?: readonly SigningKey[];
  /** Key → when it was given up. */
  readonly old?: readonly [SigningKey, number][];
  readonly validForMs?: number;
  readonly signers?: readonly SigningKey[];
  readonly changes?: JsonObject;
}

/** What a server publishes of its keys. */
export function published(
  name: ServerName,
  { keys = [], old = [], validForMs = day, signers = keys, changes = {} }: Published,
) {
  const response: JsonObject = {
    server_name: name,
    verify_keys: Object.fromEntries(keys.map((one) => [one.keyId, { key: publicKeyOf(one) }])),
    old_verify_keys: Object.fromEntries(
      old.map(([one, expiredTs]) => [one.keyId, { key: publicKeyOf(one), expired_ts: expiredTs }]),
    ),
    valid_until_ts: federation.clock.now() + validForMs,
    ...changes,
  };
  return signers.reduce((signed, signer) => signJson(signed, name, signer), response);
}

/** Plays a server that publishes this; null: it is away. */
export function play(name: ServerName, answer: () => JsonObject | null | Promise<JsonObject | null>): void {
  federation.foreign.set(name, async (request) => {
    const body = new URL(request.url).pathname === keyPath ? await answer() : null;
    if (body === null) throw new Error("nobody is here");
    return Response.json(body);
  });
}

/** Plays a key server: it has these keys of its own, and says this. */
export function playNotary(
  name: ServerName,
  keys: readonly SigningKey[],
  answer: (asked: JsonObject) => JsonObject[],
): void {
  federation.foreign.set(name, async (request) => {
    const path = new URL(request.url).pathname;
    if (path === keyPath) return Response.json(published(name, { keys }));
    if (path !== queryPath) throw new Error("nobody is here");
    const body: unknown = await request.json();
    return Response.json({ server_keys: answer(isObject(body) ? (objectField(body, "server_keys") ?? {}) : {}) });
  });
}

/** Begins a new federation, with our server in it. */
export function start(variables: Variables = {}): FederatedServer {
  federation = new Federation();
  return federation.server(us, variables);
}

/** Asks our server for a key of another. */
export const ask = (server: FederatedServer, wanted: Partial<WantedKeys> = {}, name = peer) =>
  server.actors.server(name).getVerifyKeys({ keyIds: [key("a").keyId], validAt: federation.clock.now(), ...wanted });

/** How many requests to that path were answered. */
export const asked = (path = keyPath) => federation.exchanges.filter((exchanged) => exchanged.path === path).length;
/** How often somebody was asked at all, also if there was no answer. */
export function countAttempts(): () => number {
  let attempts = 0;
  federation.beforeExchange = (_from, _to, path) => {
    if (path === keyPath) attempts += 1;
  };
  return () => attempts;
}

/** What is stored of a server: keys, answers and attempts. */
export const rowsOf = (server: FederatedServer, name: ServerName) =>
  ["verify_keys", "key_responses", "key_fetches"].flatMap((table) =>
    server.sql("server", name).all(`SELECT 1 AS stored FROM ${table}`),
  ).length;

/** Keys of {@link peer}. */
export const a = key("a");
export const b = key("b");

/** An event as far as keys are concerned. */
export const pduOf = (name: ServerName, keyIds: readonly string[] = ["ed25519:a"]): JsonObject => ({
  sender: `@someone:${name}`,
  origin_server_ts: federation.clock.now(),
  signatures: { [name]: Object.fromEntries(keyIds.map((keyId) => [keyId, "AAAA"])) },
});
export const sourcesOf = ({ actors, config }: FederatedServer): KeySources => ({ actors, config });
export const serverNamed = (index: number) => trusted.serverName(`s${index}.test`);
