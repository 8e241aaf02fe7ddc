import { describe, expect, it } from "vitest";
import { loadBotSdk } from "../support/matrix-bot-sdk.ts";

describe("loadBotSdk", () => {
  it("gives a client without the encryption library's program", async () => {
    const { MatrixClient } = await loadBotSdk();
    expect(new MatrixClient("http://127.0.0.1:1", "token").homeserverUrl).toBe("http://127.0.0.1:1");
  });
});
