import { describe, expect, it } from "vitest";
import { CommitQueue, maxWaiting } from "../../../actors/room/commit-queue.ts";
import { alice, createWorld, message } from "./world.ts";

describe("requests that wait for a commit", () => {
  it("are no more than a room can see to in some seconds: the others are told to come again", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    let durable: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      durable = resolve;
    });
    const queue = new CommitQueue(room.context.store, () => gate);
    const first = queue.submit(() => "first");
    const waiting = Array.from({ length: maxWaiting }, (_, index) => queue.submit(() => index));
    await expect(queue.submit(() => "one too many")).rejects.toMatchObject({
      status: 429,
      errcode: "M_LIMIT_EXCEEDED",
    });
    durable();
    await expect(first).resolves.toBe("first");
    await expect(Promise.all(waiting)).resolves.toHaveLength(maxWaiting);
    await expect(queue.submit(() => "afterwards")).resolves.toBe("afterwards");
  });

  it("may be a thousand at once, and all are stored", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    const sent = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => room.rpc.sendEvent(message(alice, `message ${index}`))),
    );
    expect(new Set(sent.map(({ eventId }) => eventId)).size).toBe(1_000);
  });
});
