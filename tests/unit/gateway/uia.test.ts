import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { requireUia, UiaChallenge, type UiaStage } from "../../../workers/gateway/uia.ts";
import { fakeServices, ok, refused } from "./services.ts";

const none: JsonObject = {};
const alice = trusted.userId("@alice:example.org");

interface Session {
  binding: string;
  completed: string[];
  params: Record<string, string>;
}

/** The sessions of our own server's actor, and a user whose password is `right`. */
function world() {
  const sessions = new Map<string, Session>();
  const server = {
    startUia: (binding: string) => {
      const session = `session${sessions.size}`;
      sessions.set(session, { binding, completed: [], params: {} });
      return ok({ session });
    },
    completeUiaStage: ({ session, binding, stage }: { session: string; binding: string; stage: string }) => {
      const found = sessions.get(session);
      if (found === undefined || found.binding !== binding) return refused(400, "M_UNKNOWN");
      if (!found.completed.includes(stage)) found.completed.push(stage);
      return ok({ completed: found.completed });
    },
    getUia: (session: string) => (sessions.has(session) ? ok(sessions.get(session)) : refused(400, "M_UNKNOWN")),
    setUiaParam: (session: string, name: string, value: string) => {
      const found = sessions.get(session);
      if (found !== undefined) found.params[name] = value;
      return ok(null);
    },
    isRegistrationTokenValid: (token: string) => ok(token === "good"),
  };
  const user = {
    checkPassword: (password: string) => {
      if (password === "often") return refused(429, "M_LIMIT_EXCEEDED", { retry_after_ms: 5 });
      return password === "right" ? ok(null) : refused(403, "M_FORBIDDEN");
    },
  };
  const services = fakeServices({ server, user });
  const attempt = async (
    auth: JsonObject | null,
    flows: UiaStage[][],
    bound: string[] = ["op"],
    userId: typeof alice | null = alice,
  ) => {
    try {
      return { passed: await requireUia(services, { auth, flows, bound, userId }), challenge: none };
    } catch (thrown) {
      if (thrown instanceof UiaChallenge) return { passed: null, challenge: thrown.body };
      throw thrown;
    }
  };
  return { attempt };
}

describe("requireUia", () => {
  const password = (text: string, more: JsonObject = {}) => ({ type: "m.login.password", password: text, ...more });

  it("asks for the flows first, with a session and no errcode", async () => {
    const { attempt } = world();
    for (const auth of [null, {}]) {
      const { challenge } = await attempt(auth, [["m.login.password"]]);
      expect(challenge).toEqual({ flows: [{ stages: ["m.login.password"] }], params: {}, session: expect.any(String) });
    }
  });

  it("passes who proves the stage, within a session or without one", async () => {
    const { attempt } = world();
    const { session = "" } = (await attempt(null, [["m.login.password"]])).challenge;
    expect((await attempt(password("right", { session }), [["m.login.password"]])).passed).not.toBeNull();
    expect((await attempt(password("right"), [["m.login.password"]])).passed).not.toBeNull();
    expect((await attempt({ type: "m.login.dummy" }, [["m.login.dummy"]], ["op"], null)).passed).not.toBeNull();
  });

  it("answers a wrong password with the challenge and the errcode, and lets try again", async () => {
    const { attempt } = world();
    const { challenge } = await attempt(password("wrong"), [["m.login.password"]]);
    expect(challenge).toMatchObject({ errcode: "M_FORBIDDEN", flows: [{ stages: ["m.login.password"] }] });
    expect(challenge.completed).toBeUndefined();
    const { session = "" } = challenge;
    expect((await attempt(password("right", { session }), [["m.login.password"]])).passed).not.toBeNull();
  });

  it("takes nobody else's password", async () => {
    const { attempt } = world();
    const identifiers = [
      { type: "m.id.user", user: "bob" },
      { type: "m.id.user", user: "@alice:elsewhere.org" },
      { type: "m.id.thirdparty", medium: "email", address: "alice@example.org" },
      {},
    ];
    for (const identifier of identifiers) {
      const asked = attempt(password("right", { identifier }), [["m.login.password"]]);
      await expect(asked).rejects.toMatchObject({ status: 403, errcode: "M_FORBIDDEN" });
    }
    for (const user of ["alice", "@alice:example.org"]) {
      const named = password("right", { identifier: { type: "m.id.user", user } });
      expect((await attempt(named, [["m.login.password"]])).passed).not.toBeNull();
    }
  });

  it("is bound to what was asked: a session proves nothing else", async () => {
    const { attempt } = world();
    const { session = "" } = (await attempt(null, [["m.login.password"]], ["delete", "A"])).challenge;
    await attempt(password("right", { session }), [["m.login.password"]], ["delete", "A"]);
    expect((await attempt({ session }, [["m.login.password"]], ["delete", "A"])).passed).not.toBeNull();
    await expect(attempt({ session }, [["m.login.password"]], ["delete", "B"])).rejects.toMatchObject({
      errcode: "M_UNKNOWN",
    });
    await expect(attempt(password("right", { session }), [["m.login.password"]], ["x"])).rejects.toMatchObject({
      errcode: "M_UNKNOWN",
    });
  });

  it("refuses a session that it does not know", async () => {
    const { attempt } = world();
    await expect(attempt({ session: "made up" }, [["m.login.dummy"]])).rejects.toMatchObject({ errcode: "M_UNKNOWN" });
  });

  it("asks again while only the session is named and nothing is proven", async () => {
    const { attempt } = world();
    const { session = "" } = (await attempt(null, [["m.login.password"]])).challenge;
    expect((await attempt({ session }, [["m.login.password"]])).challenge.session).toBe(session);
  });

  it("holds to the order of a flow", async () => {
    const { attempt } = world();
    const flows: UiaStage[][] = [["m.login.registration_token", "m.login.dummy"]];
    const early = await attempt({ type: "m.login.dummy" }, flows);
    expect(early.challenge.errcode).toBe("M_UNRECOGNIZED");
    const { session = "" } = early.challenge;
    const wrong = await attempt({ type: "m.login.registration_token", token: "bad", session }, flows);
    expect(wrong.challenge.errcode).toBe("M_UNAUTHORIZED");
    const first = await attempt({ type: "m.login.registration_token", token: "good", session }, flows);
    expect(first.challenge.completed).toEqual(["m.login.registration_token"]);
    expect(first.challenge.errcode).toBeUndefined();
    const last = await attempt({ type: "m.login.dummy", session }, flows);
    expect(last.passed).toEqual({ registrationToken: "good" });
  });

  it("knows no stage but those of the flows", async () => {
    const { attempt } = world();
    for (const type of ["m.login.dummy", "m.login.recaptcha", "__proto__", "constructor", ""]) {
      expect((await attempt({ type }, [["m.login.password"]])).challenge.errcode).toBe("M_UNRECOGNIZED");
    }
  });

  it("says when to come back after too many tries", async () => {
    const { attempt } = world();
    await expect(attempt(password("often"), [["m.login.password"]])).rejects.toMatchObject({ status: 429 });
  });
});
