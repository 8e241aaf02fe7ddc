/**
 * Whether another server is there, as far as is known, and how often it is asked while it is not. Whoever wants something of
 * it, be it the outbox, a fetch of its keys or a user, shares one account: so many requests at once, then one an hour. An
 * answer closes the account.
 */
import type { ServerContext } from "./context.ts";
import type { StoredContact } from "./store/contact.ts";

/** Requests that may come to nothing in a row before there is a pause. */
const maxAtOnce = 5;
/**
 * After how long one more may be made: 24 in a day. With those at once, and one look-up, a server that is gone is asked 30
 * times on the first day.
 */
const restoreMs = 60 * 60 * 1000;
/** Part of that time that is left to chance, so that servers that went away together are not asked together. */
const spread = 0.5;
/** Requests that one failure is taken for, at most: a server of many addresses is not given up at the first. */
const maxCharged = 3;
/** Longer than a request takes: a look-up so long ago was made for this one. */
const requestMs = 90_000;
/** What may be tried at once of a server that has spoken to us. */
const allowedOnceAlive = 2;

/** Null: as far as is known, the server is there. */
export function findAccount(server: ServerContext): StoredContact | null {
  const { contact } = server.memory;
  if (contact.account === undefined) contact.account = server.store.contact.find();
  return contact.account;
}

/** When the server may be asked next, ms since epoch; in the past: now. */
export function dueTs(server: ServerContext): number {
  const account = findAccount(server);
  return account === null ? 0 : account.restoredTs - (maxAtOnce - 1) * restoreMs;
}

/** Notes an attempt at a server that does not answer, before it is made. */
export function chargeAttempt(server: ServerContext): void {
  const account = findAccount(server);
  if (account === null) return;
  keep(server, { attempts: account.attempts + 1, restoredTs: restoredAfter(server, account.restoredTs, 1) });
}

/** Somebody was not answered. Of a server that is known not to answer, the attempt has been noted already. */
export function noteUnanswered(server: ServerContext, requests: number): void {
  if (findAccount(server) !== null) return;
  const { lookedUpTs } = server.memory.contact;
  const lookUps = server.clock.now() - lookedUpTs < requestMs ? 1 : 0;
  const charged = Math.min(requests + lookUps, maxCharged);
  const [byte = 0] = server.random.bytes(1);
  keep(server, { attempts: 1, restoredTs: restoredAfter(server, 0, charged + (spread * byte) / 255) });
}

/** The server has answered. */
export function noteAnswered(server: ServerContext): void {
  const { contact } = server.memory;
  const had = findAccount(server);
  contact.account = null;
  contact.hasSpoken = false;
  if (had !== null && server.store.contact.find() !== null) server.store.transaction((tx) => tx.contact.clear());
}

/** The server has spoken to us: it is tried again, and looked for anew, for it may have moved. */
export function noteSpeaking(server: ServerContext): void {
  const account = findAccount(server);
  if (account === null) return;
  server.memory.contact.hasSpoken = true;
  const latestTs = server.clock.now() + (maxAtOnce - allowedOnceAlive) * restoreMs;
  if (account.restoredTs > latestTs) keep(server, { ...account, restoredTs: latestTs });
}

function restoredAfter(server: ServerContext, restoredTs: number, requests: number): number {
  return Math.round(Math.max(restoredTs, server.clock.now()) + requests * restoreMs);
}

/** Anybody can name servers that do not exist: of those, nothing is stored. */
function keep(server: ServerContext, account: StoredContact): void {
  server.memory.contact.account = account;
  if (server.store.contact.isKnown()) server.store.transaction((tx) => tx.contact.set(account));
}
