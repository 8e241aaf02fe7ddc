/** A bot made with matrix-bot-sdk lives in rooms to which it is invited, and another one talks to it. */
import type { MatrixClient } from "matrix-bot-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { botSdk } from "./bot-sdk.ts";
import { findOrStartHomeserver, type Homeserver } from "./homeserver-process.ts";
import { eventually } from "./person.ts";

const run = Date.now().toString(36);
const pings = 10;

/** A message as a bot hears it. */
interface Heard {
  readonly roomId: string;
  readonly sender: string;
  readonly body: string;
  readonly answers: string | null;
}

let server: Homeserver;
let bot: MatrixClient;
let caller: MatrixClient;
let botId: string;
let callerId: string;
let roomId: string;
const heard: Heard[] = [];

beforeAll(async () => {
  botSdk.LogService.setLevel(botSdk.LogLevel.ERROR);
  // It logs refusals, which are wanted here.
  botSdk.LogService.muteModule("MatrixHttpClient");
  ({ homeserver: server } = await findOrStartHomeserver());
  bot = await registerBot(`pong-${run}`);
  caller = await registerBot(`ping-${run}`);
  botId = await bot.getUserId();
  callerId = await caller.getUserId();
  await startPongBot();
  caller.on("room.message", (room: string, event: unknown) => {
    const message = messageOf(room, event);
    if (message !== null && message.sender !== callerId) heard.push(message);
  });
  await caller.start();
}, 90_000);

afterAll(async () => {
  bot?.stop();
  caller?.stop();
  await server?.dispose();
});

describe("a bot", () => {
  it("joins the room to which it is invited", async () => {
    roomId = await caller.createRoom({ name: "Bot talk", invite: [botId], preset: "private_chat" });
    await eventually(async () => {
      expect((await caller.getJoinedRoomMembers(roomId)).sort()).toEqual([botId, callerId].sort());
    });
    expect(await bot.getJoinedRooms()).toEqual([roomId]);
  });

  it("answers each command once", async () => {
    const asked: string[] = [];
    for (let count = 0; count < pings; count += 1) asked.push(await caller.sendText(roomId, "!ping"));
    await eventually(() => expect(heard).toHaveLength(pings));
    expect(heard.map(({ answers }) => answers)).toEqual(asked);
    expect(new Set(heard.map(({ body }) => body.split("\n").at(-1)))).toEqual(new Set(["pong"]));
  });

  it("answers in the other direction too", async () => {
    const before = heard.length;
    await bot.sendNotice(roomId, "I am still here");
    await bot.sendHtmlText(roomId, "<b>and listen</b>");
    await eventually(() => expect(heard.slice(before).map(({ body }) => body)).toHaveLength(2));
    expect(heard[before]?.body).toBe("I am still here");
  });

  it("has a profile that others see", async () => {
    await bot.setDisplayName("Pong the bot");
    expect(await caller.getUserProfile(botId)).toMatchObject({ displayname: "Pong the bot" });
    await eventually(async () => {
      const member = await caller.getRoomStateEvent(roomId, "m.room.member", botId);
      expect(member).toMatchObject({ membership: "join", displayname: "Pong the bot" });
    });
  });

  it("reads and writes the room's state", async () => {
    await caller.sendStateEvent(roomId, "org.example.settings", "", { greeting: "hello" });
    expect(await bot.getRoomStateEvent(roomId, "org.example.settings", "")).toEqual({ greeting: "hello" });
    await caller.sendStateEvent(roomId, "org.example.settings", "of the bot", { greeting: "beep" });
    expect(await bot.getRoomStateEvent(roomId, "org.example.settings", "of the bot")).toEqual({ greeting: "beep" });
    const types = (await bot.getRoomState(roomId)).map(({ type }: { type: string }) => type);
    expect(types).toContain("m.room.create");
    await expect(bot.sendStateEvent(roomId, "m.room.name", "", { name: "mine" })).rejects.toMatchObject({
      errcode: "M_FORBIDDEN",
    });
    expect(await bot.userHasPowerLevelFor(botId, roomId, "m.room.name", true)).toBe(false);
  });

  it("reacts, redacts, and keeps its own data", async () => {
    const eventId = await caller.sendText(roomId, "look at this");
    await bot.unstableApis.addReactionToEvent(roomId, eventId, "👍");
    await caller.redactEvent(roomId, eventId, "never mind");
    expect(await bot.getEvent(roomId, eventId)).toMatchObject({ content: {} });
    await bot.setAccountData("org.example.bot", { runs: 1 });
    expect(await bot.getAccountData("org.example.bot")).toEqual({ runs: 1 });
    await bot.sendReadReceipt(roomId, eventId);
    await bot.setTyping(roomId, true, 1_000);
    await bot.setTyping(roomId, false);
  });

  it("leaves when it is told to", async () => {
    await caller.sendText(roomId, "!leave");
    await eventually(async () => expect(await caller.getJoinedRoomMembers(roomId)).toEqual([callerId]));
    expect(await bot.getJoinedRooms()).toEqual([]);
  });
});

async function registerBot(name: string): Promise<MatrixClient> {
  const auth = new botSdk.MatrixAuth(server.baseUrl);
  return auth.passwordRegister(name, `beep boop ${name}`, "a bot");
}

/** The usual shape of a bot: joins on invitation, listens for commands, ignores itself. */
async function startPongBot(): Promise<void> {
  botSdk.AutojoinRoomsMixin.setupOnClient(bot);
  bot.on("room.message", async (room: string, event: unknown) => {
    const message = messageOf(room, event);
    if (message === null || message.sender === botId) return;
    if (message.body === "!ping") await bot.replyText(room, event, "pong");
    if (message.body === "!leave") await bot.leaveRoom(room);
  });
  await bot.start();
}

function messageOf(room: string, event: unknown): Heard | null {
  const raw = new botSdk.MessageEvent(Object(event));
  if (raw.isRedacted) return null;
  const relation = Object(Object(raw.content)["m.relates_to"])["m.in_reply_to"];
  return { roomId: room, sender: raw.sender, body: raw.textBody, answers: Object(relation).event_id ?? null };
}
