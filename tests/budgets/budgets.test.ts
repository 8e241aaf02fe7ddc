/**
 * What everyday operations may cost: rows that the platform bills, calls between actors, wakes. Times vary with the
 * machine, these do not. Each budget is what was measured when the operation was as it should be: a change that needs
 * more must say why, by changing the number here.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Api, apiOf } from "../bench/http.ts";
import { type Costs, perOperation, settledCosts } from "../bench/measure.ts";
import {
  joinRoom,
  makeOneUser,
  makeRoom,
  makeUsers,
  sendMessage,
  sendReceipt,
  setTyping,
  sync,
  type User,
} from "../bench/world.ts";
import { type HomeserverProcess, startHomeserverProcess } from "../e2e/homeserver-process.ts";

const crowdSize = 29;
/** The page of wakes, and the alarm set twice. */
const rowsPerAlarm = 3;
const budgeted = ["rowsWritten", "rpcCalls", "wakes"] as const;

let server: HomeserverProcess;
let api: Api;
let alice: User;
let bob: User;
let crowd: User[];
let pairRoom: string;
let crowdRoom: string;

/** Rows written, calls between actors (the gateway's included) and wakes of one operation. */
type Budget = Pick<Costs, (typeof budgeted)[number]> & { readonly rowsRead?: number };

beforeAll(async () => {
  server = await startHomeserverProcess({ env: { METER: "on" } });
  api = apiOf(server.baseUrl);
  alice = await makeOneUser(api, "alice");
  bob = await makeOneUser(api, "bob");
  crowd = await makeUsers(api, "crowd", crowdSize);
  pairRoom = await makeRoom(alice, [bob]);
  crowdRoom = await makeRoom(alice, crowd);
  for (const user of [alice, bob, ...crowd]) await sync(user, null);
}, 120_000);

afterAll(async () => {
  api?.close();
  await server?.dispose();
});

describe("a message in a room of two", () => {
  it("costs its own rows when the other has been woken and has not looked yet", async () => {
    await sendMessage(alice, pairRoom);
    await assertCost("message, room of 2, other idle", { rowsWritten: 9, rpcCalls: 2, wakes: 0 }, () =>
      sendMessage(alice, pairRoom),
    );
  });

  it("costs the same, and reads no more, however long the history is", async () => {
    for (let count = 0; count < 100; count += 1) await sendMessage(alice, pairRoom);
    await assertCost("message, room of 2, long history", { rowsWritten: 9, rowsRead: 19, rpcCalls: 2, wakes: 0 }, () =>
      sendMessage(alice, pairRoom),
    );
  });

  it("costs one wake for each of the two when they are up to date", async () => {
    await Promise.all([sync(alice, null), sync(bob, null)]);
    const { nextBatch } = await sync(bob, null);
    await sync(bob, nextBatch);
    await assertCost("message, room of 2, other up to date", { rowsWritten: 11, rpcCalls: 4, wakes: 2 }, () =>
      sendMessage(alice, pairRoom),
    );
  });
});

describe(`a message in a room of ${crowdSize + 1} local members`, () => {
  it("costs at most 12 rows once all of them have been woken", async () => {
    await sendMessage(alice, crowdRoom);
    await assertCost("message, room of 30, all idle", { rowsWritten: 9, rpcCalls: 2, wakes: 0 }, () =>
      sendMessage(alice, crowdRoom),
    );
  });

  it("costs each member who is up to date one wake", async () => {
    for (const user of [alice, ...crowd]) await sync(user, null);
    await assertCost("message, room of 30, all up to date", { rowsWritten: 39, rpcCalls: 32, wakes: 30 }, () =>
      sendMessage(alice, crowdRoom),
    );
  });
});

describe("sync", () => {
  it("writes nothing when there is nothing new", async () => {
    const { nextBatch } = await sync(bob, null);
    await sync(bob, nextBatch);
    await assertCost("sync, nothing new", { rowsWritten: 0, rpcCalls: 2, wakes: 0 }, () => sync(bob, nextBatch));
  });

  it("of one new message costs a token and the room's note that the user has caught up", async () => {
    const { nextBatch } = await sync(bob, null);
    await sync(bob, nextBatch);
    await sendMessage(alice, pairRoom);
    await assertCost("sync, one new message", { rowsWritten: 3, rpcCalls: 3, wakes: 0 }, () => sync(bob, nextBatch));
  });

  it("for the first time, of two rooms, writes what the rooms and the token need", async () => {
    await assertCost("initial sync, 2 rooms", { rowsWritten: 5, rpcCalls: 4, wakes: 0 }, () => sync(alice, null));
  });
});

describe("small things", () => {
  it("a read receipt", async () => {
    const [first, second] = [await sendMessage(alice, pairRoom), await sendMessage(alice, pairRoom)];
    await sendReceipt(bob, pairRoom, first);
    await assertCost("read receipt", { rowsWritten: 3, rpcCalls: 2, wakes: 0 }, () =>
      sendReceipt(bob, pairRoom, second),
    );
  });

  it("typing", async () => {
    await setTyping(alice, pairRoom, true);
    await setTyping(alice, pairRoom, false);
    await assertCost("typing on", { rowsWritten: 2, rpcCalls: 2, wakes: 0 }, () => setTyping(alice, pairRoom, true));
    await assertCost("typing off", { rowsWritten: 2, rpcCalls: 2, wakes: 0 }, () => setTyping(alice, pairRoom, false));
  });
});

describe("rooms", () => {
  it("a new room", async () => {
    // Of these, ten are the making of the tables that only federation fills.
    await assertCost("createRoom", { rowsWritten: 120, rpcCalls: 8, wakes: 1 }, () => makeRoom(alice));
  });

  it("a join", async () => {
    const roomId = await makeRoom(alice);
    await assertCost("join", { rowsWritten: 19, rpcCalls: 4, wakes: 1 }, () => joinRoom(bob, roomId));
  });
});

/** Runs the operation once and holds what it cost, with the work that goes on after its answer, against the budget. */
async function assertCost(name: string, budget: Budget, operation: () => Promise<unknown>): Promise<void> {
  const before = await settledCosts(api);
  await operation();
  const after = await settledCosts(api);
  if (before === null || after === null) throw new Error("the homeserver has no meter");
  const costs = perOperation(before, after, 1);
  const { rowsWritten, rowsRead, rpcCalls, wakes } = costs;
  console.log(`${name}: ${rowsWritten} rows written, ${rowsRead} read, ${rpcCalls} calls, ${wakes} wakes`);
  // An alarm that rings meanwhile stores what was learnt of wakes, and is no cost of the operation.
  const rowsOfAlarms = costs.alarms * rowsPerAlarm;
  const limits = {
    ...budget,
    rowsWritten: budget.rowsWritten + rowsOfAlarms,
    rowsRead: costs.alarms > 0 ? Number.POSITIVE_INFINITY : (budget.rowsRead ?? Number.POSITIVE_INFINITY),
  };
  const excess = (["rowsRead", ...budgeted] as const).filter((cost) => costs[cost] > limits[cost]);
  expect(
    excess.map((cost) => `${cost} ${costs[cost]}, budget ${limits[cost]}`),
    name,
  ).toEqual([]);
}
