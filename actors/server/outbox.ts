/**
 * The outbox: what this server owes to another, and its delivery.
 *
 * In each shared room there is a position up to which the server has been given everything. A room says when it has more;
 * it is asked when a transaction is put together. One transaction is on its way at a time; when the server has confirmed it,
 * the positions move on. A server that does not answer costs a row a room, and an attempt now and then.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import type { JsonObject } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import type { DeliveryOutcome, Passage, Route, ServerWake } from "../../shared/rpc/server-peer.ts";
import { dueTs, noteAnswered, noteSpeaking, noteUnanswered } from "./contact.ts";
import type { ServerContext } from "./context.ts";
import { type Composition, composeAgain, composeNext } from "./outbox-transaction.ts";
import { fetchRoute, storeRoute } from "./route.ts";
import type { OutboxState, PendingTransaction } from "./store/outbox.ts";

/** How long after news the alarm looks whether it was seen to. */
const lookAgainMs = 10_000;
/** Nobody having reported by then how a transaction ended, it is sent again. Longer than any request takes. */
const leaseMs = 90_000;
/**
 * The same for an instance that did not hand it over itself: most likely this server went down with it. Where it is on its
 * way after all, the repeat does nothing: the other server knows it by its id.
 */
const orphanLeaseMs = 20_000;
/** How long is waited after the first, second, … attempt in a row that came to nothing: at most 30 attempts in a day. */
const backoffMs = [5_000, 15_000, 3 * 60_000, 20 * 60_000, 60 * 60_000] as const;
const longestBackoffMs = 60 * 60_000;
/** Part of a wait that is left to chance, so that servers that went away together are not asked together. */
const jitter = 0.05;
/** Refusals of what was in a transaction that are answered at once by a smaller one; beyond, each is a failure. */
const maxQuickRefusals = 12;
/** Transactions that are put together in one go, at most. */
const maxRounds = 10;
/** What waits in stored EDUs, at most; beyond, the oldest are dropped. */
const maxEdus = 10_000;
const maxEduSize = 64 * 1024 * 1024;
/** Longest EDU that is stored, in UTF-16 units: one message of the largest size, with what is around it. */
const maxEduLength = 128 * 1024;

/**
 * A room has something for the server. Applied only where newer, so that repeats and reordering do nothing.
 *
 * @returns the position up to which everything was delivered, or is in the transaction that is not confirmed yet: that is
 *   sent until it is confirmed, without the room's doing.
 */
export function roomAdvanced(server: ServerContext, { roomId, head, since }: ServerWake): { knownPosition: number } {
  const { outbox } = server.store;
  const room = outbox.findRoom(roomId);
  const pending = outbox.state().transaction?.rooms.find((range) => range.roomId === roomId);
  const knownPosition = Math.max(room?.position ?? since, pending?.through ?? 0);
  const isAsked = server.memory.outbox.asked.has(roomId);
  if (isAsked) server.memory.outbox.wokenMeanwhile.add(roomId);
  const isNews = room === null || room.head < head;
  if (isNews) {
    server.store.transaction((tx) => {
      if (room === null) tx.outbox.insertRoom({ roomId, position: since, head });
      else tx.outbox.raiseHead(roomId, head);
      lookAgain(server);
    });
  }
  if (isNews || isAsked) pumpSoon(server);
  return { knownPosition };
}

/** Stores an EDU that must arrive; once per `id` as long as it waits. What is too long for any transaction is dropped. */
export function sendEdu(server: ServerContext, { id, edu }: { id: string; edu: JsonObject }): void {
  const json = JSON.stringify(edu);
  if (json.length > maxEduLength) {
    server.log.error("EDU too long to be sent", { destination: server.serverName, edu_id: id, length: json.length });
    return;
  }
  if (server.store.outbox.hasEdu(id)) return;
  const { memory } = server;
  memory.outbox.edus = server.store.transaction((tx) => {
    const { count, size } = memory.outbox.edus ?? tx.outbox.eduTotals();
    const totals = { count: count + 1, size: size + tx.outbox.insertEdu(id, json) };
    const before = totals.count;
    while (totals.count > maxEdus || totals.size > maxEduSize) {
      const dropped = tx.outbox.deleteOldestEdu();
      if (dropped === null) break;
      totals.count -= 1;
      totals.size -= dropped;
    }
    if (totals.count < before) {
      const fields = { destination: server.serverName, dropped: before - totals.count };
      server.log.warn("EDUs dropped: too many wait for the server", fields);
    }
    lookAgain(server);
    return totals;
  });
  pumpSoon(server);
}

/**
 * The server has spoken to us: what waits for it is tried now, whatever the last attempts came to. A server that speaks but
 * cannot be reached is not tried at every word of it.
 */
export function noteAlive(server: ServerContext): void {
  const state = server.store.outbox.state();
  const now = server.clock.now();
  if (!isAwaited(server)) return;
  noteSpeaking(server);
  const earlyTries = state.earlyTries + 1;
  const earlyTs = now + waitAfter(server, earlyTries + 1);
  server.store.transaction((tx) => {
    tx.outbox.setState({ ...state, retryTs: now, earlyTries, earlyTs });
    lookAgain(server);
  });
  pumpSoon(server);
}

/** Whether it would be news that the server is there: something waits for it, or it is not asked for a while. */
export function isAwaited(server: ServerContext): boolean {
  const { failures, retryTs, earlyTs } = server.store.outbox.state();
  const now = server.clock.now();
  return ((failures > 0 && retryTs > now) || dueTs(server) > now) && now >= earlyTs;
}

/** How the transaction on its way ended. Of one that is not the newest, nothing is learnt any more. */
export function transactionEnded(
  server: ServerContext,
  { txnId, sentTs, outcome }: { txnId: string; sentTs: number; outcome: DeliveryOutcome },
): void {
  const state = server.store.outbox.state();
  const { transaction } = state;
  if (transaction?.txnId !== txnId) return;
  // What an earlier attempt came to says nothing of this one, unless the server has taken the transaction.
  if (outcome.kind !== "delivered" && transaction.sentTs !== sentTs) return;
  switch (outcome.kind) {
    case "delivered":
      noteAnswered(server);
      confirm(server, transaction, { ...state, failures: 0, retryTs: 0, earlyTries: 0, earlyTs: 0 });
      break;
    case "refused":
      refused(server, state, transaction, outcome);
      break;
    case "failed":
      if (outcome.requests > 0) noteUnanswered(server, outcome.requests);
      fail(server, state, outcome);
      break;
  }
  pumpSoon(server);
}

/** Sends what waits, as far as that may be done now. To be called by the alarm too. */
export async function pumpOutbox(server: ServerContext): Promise<void> {
  const { outbox } = server.memory;
  if (outbox.isPumping) {
    outbox.isAskedAgain = true;
    // This may be the alarm, and whatever else it was set for; the instance may end before the other run does.
    lookAgain(server);
    return;
  }
  outbox.isPumping = true;
  try {
    for (let round = 0; round < maxRounds; round += 1) {
      outbox.isAskedAgain = false;
      const isDone = await sendNext(server);
      if (isDone && !outbox.isAskedAgain) return;
    }
    lookAgain(server);
  } finally {
    outbox.isPumping = false;
  }
}

/** @returns false when there may be more to do at once. */
async function sendNext(server: ServerContext): Promise<boolean> {
  if (!mayTalkTo(server.config, server.serverName)) return true;
  const state = withoutLost(server, server.store.outbox.state());
  const { transaction, retryTs } = state;
  const now = server.clock.now();
  if (transaction !== null && transaction.sentTs !== null) {
    server.alarm.ensure(transaction.sentTs + leaseOf(server, transaction));
    return true;
  }
  const untilTs = Math.max(retryTs, dueTs(server));
  if (now < untilTs) {
    if (transaction !== null || server.store.outbox.isAnythingOwed()) putOff(server, state, untilTs);
    return true;
  }
  const composed = await (transaction === null ? composeNext(server, state) : composeAgain(server, transaction));
  if (composed.kind === "filled") {
    await sendOver(server, composed.transaction);
    return true;
  }
  if (composed.kind === "blocked") {
    lookAgain(server);
    return true;
  }
  // Nothing in it is of use any more, so nothing is lost if the server never had it.
  if (transaction !== null) confirm(server, transaction, state);
  return transaction === null;
}

/** Treats a transaction of which nobody has reported as one that failed. */
function withoutLost(server: ServerContext, state: OutboxState): OutboxState {
  const { transaction } = state;
  const sentTs = transaction?.sentTs ?? null;
  if (transaction === null || sentTs === null) return state;
  if (server.clock.now() < sentTs + leaseOf(server, transaction)) return state;
  // The first time it was most likely this server that went down.
  fail(server, state, { reason: "nobody has reported", retryAfterMs: state.failures === 0 ? 0 : null });
  return server.store.outbox.state();
}

function leaseOf(server: ServerContext, { txnId }: PendingTransaction): number {
  return server.memory.outbox.handedOver === txnId ? leaseMs : orphanLeaseMs;
}

type Filled = Extract<Composition, { kind: "filled" }>["transaction"];

/** Sends a transaction if the server is to be asked now, over the route to it. */
async function sendOver(server: ServerContext, transaction: Filled): Promise<void> {
  const passage = await findPassage(server);
  if (passage === null) {
    lookAgain(server);
    return;
  }
  if (passage.kind === "open") {
    storeRoute(server);
    await send(server, transaction, passage.route);
    return;
  }
  const state = server.store.outbox.state();
  server.memory.outbox.asked.clear();
  if (passage.untilTs === null) fail(server, state, { reason: passage.reason, retryAfterMs: null });
  else putOff(server, state, passage.untilTs);
}

/** Null: it could not be found out, for reasons of our own. */
async function findPassage(server: ServerContext): Promise<Passage | null> {
  try {
    return await fetchRoute(server, { isForStranger: false });
  } catch (thrown) {
    server.log.warn("server could not be looked for", {
      destination: server.serverName,
      error: describeError(thrown),
    });
    return null;
  }
}

/** The server is not asked before: this server, or others for it, have lately asked in vain. */
function putOff(server: ServerContext, state: OutboxState, untilTs: number): void {
  if (untilTs > state.retryTs) {
    const failures = Math.max(1, state.failures);
    server.store.transaction((tx) => tx.outbox.setState({ ...state, failures, retryTs: untilTs }));
  }
  server.alarm.ensure(untilTs);
}

async function send(server: ServerContext, { pending, pdus, edus }: Filled, route: Route): Promise<void> {
  const now = server.clock.now();
  const { txnId } = pending;
  server.store.transaction((tx) => {
    for (const { roomId, through } of pending.rooms) {
      if (server.memory.outbox.wokenMeanwhile.has(roomId)) tx.outbox.raiseHead(roomId, through + 1);
    }
    tx.outbox.setState({ ...tx.outbox.state(), transaction: { ...pending, sentTs: now } });
    server.alarm.ensure(now + leaseMs);
  });
  server.memory.outbox.asked.clear();
  server.memory.outbox.handedOver = txnId;
  try {
    await server.egress.deliver({ destination: server.serverName, route, txnId, pdus, edus, originServerTs: now });
  } catch (thrown) {
    transactionEnded(server, {
      txnId,
      sentTs: now,
      outcome: { kind: "failed", reason: describeError(thrown), retryAfterMs: null, requests: 0 },
    });
  }
}

/** The server has what is in the transaction, or will never have it. */
function confirm(server: ServerContext, transaction: PendingTransaction, state: OutboxState): void {
  const { rooms, eduThrough } = transaction;
  server.store.transaction((tx) => {
    for (const { roomId, through } of rooms) tx.outbox.advance(roomId, through);
    if (eduThrough > 0) {
      tx.outbox.deleteEdusThrough(eduThrough);
      server.memory.outbox.edus = null;
    }
    // Transactions grow again once one was taken.
    const larger = state.maxItems === null ? null : state.maxItems * 2;
    const maxItems = larger === null || larger > 150 ? null : larger;
    tx.outbox.setState({ ...state, transaction: null, maxItems });
    lookAgain(server);
  });
}

function fail(
  server: ServerContext,
  state: OutboxState,
  { reason, retryAfterMs }: { reason: string; retryAfterMs: number | null },
): void {
  const { serverName: destination } = server;
  const failures = state.failures + 1;
  const asked = retryAfterMs === null ? null : Math.min(retryAfterMs, longestBackoffMs);
  // A server may ask to be left alone for a shorter time than it would be, but not for ever.
  const waitMs = asked === null || failures > backoffMs.length ? waitAfter(server, failures) : asked;
  const retryTs = Math.max(server.clock.now() + Math.max(waitMs, asked ?? 0), dueTs(server));
  server.log.info("transaction not delivered", { destination, reason, failures });
  const { transaction } = state;
  server.store.transaction((tx) => {
    const pending = transaction === null ? null : { ...transaction, sentTs: null };
    tx.outbox.setState({ ...state, transaction: pending, failures, retryTs });
    server.alarm.ensure(retryTs);
  });
}

/**
 * The server has answered, but does not take the transaction. If it does not want to speak with us at all, that may change.
 * If it is for what is in the transaction, a smaller one is made, until the one item is found that it does not take; that is
 * dropped, so that it does not hold up everything behind it.
 */
function refused(
  server: ServerContext,
  state: OutboxState,
  transaction: PendingTransaction,
  { status, reason }: Extract<DeliveryOutcome, { kind: "refused" }>,
): void {
  if (status !== 400 && status !== 413) {
    noteUnanswered(server, 1);
    fail(server, state, { reason, retryAfterMs: null });
    return;
  }
  const failures = state.failures + 1;
  const waitMs = failures > maxQuickRefusals ? waitAfter(server, failures - maxQuickRefusals) : 0;
  const next = { ...state, failures, retryTs: server.clock.now() + waitMs };
  // The first time, it may also be for what can be done without: from now on that is left out.
  if (transaction.items > 1 || (transaction.items === 1 && state.maxItems === null)) {
    const maxItems = Math.ceil(transaction.items / 2);
    server.store.transaction((tx) => tx.outbox.setState({ ...next, transaction: null, maxItems }));
    return;
  }
  const { rooms, eduThrough } = transaction;
  const fields = { destination: server.serverName, reason, rooms: rooms.map((room) => room.roomId).join(" ") };
  server.log.warn("dropped what the server refuses", { ...fields, edu_nid: eduThrough });
  confirm(server, transaction, next);
}

function waitAfter(server: ServerContext, failures: number): number {
  const waitMs = backoffMs[Math.min(failures, backoffMs.length) - 1] ?? longestBackoffMs;
  const [byte = 0] = server.random.bytes(1);
  return Math.round(waitMs * (1 - (jitter * byte) / 255));
}

function lookAgain(server: ServerContext): void {
  server.alarm.ensure(server.clock.now() + lookAgainMs);
}

function pumpSoon(server: ServerContext): void {
  server.background(() => pumpOutbox(server));
}
