import { argon2Sync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { hashPassword, verifyPassword } from "../../../actors/user/passwords.ts";
import { systemRandom } from "../../../shared/clock.ts";
import { defaultPasswordHashing, parseConfig } from "../../../shared/env.ts";

const config = { ...parseConfig({}), passwordHashing: { memoryKib: 64, passes: 2 } };

describe("hashPassword", () => {
  it.each(["ascii", "пароль", "密码🔑", "a\0b", "ü".repeat(512)])(
    "agrees with Node's Argon2id on %j",
    async (password) => {
      const hash = await hashPassword(password, config, systemRandom);
      const [, algorithm, version, cost, salt = "", tag = ""] = hash.split("$");
      expect([algorithm, version, cost]).toEqual(["argon2id", "v=19", "m=64,t=2,p=1"]);
      const nonce = Buffer.from(salt, "base64");
      expect(nonce).toHaveLength(16);
      const message = Buffer.from(password, "utf8");
      const expected = argon2Sync("argon2id", { message, nonce, parallelism: 1, tagLength: 32, memory: 64, passes: 2 });
      expect(Buffer.from(tag, "base64")).toEqual(expected);
      await expect(verifyPassword(password, hash, config)).resolves.toBe(true);
      await expect(verifyPassword(`${password}x`, hash, config)).resolves.toBe(false);
    },
  );

  it("costs 19 MiB and two passes by default", async () => {
    const hash = await hashPassword("p", { ...config, passwordHashing: defaultPasswordHashing }, systemRandom);
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });
});

describe("verifyPassword", () => {
  it("does the full work also for an unknown user", async () => {
    const fastestOf = async (passwordHashing: typeof defaultPasswordHashing | typeof config.passwordHashing) => {
      let fastest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 3; i += 1) {
        const start = performance.now();
        await expect(verifyPassword("wrong", null, { ...config, passwordHashing })).resolves.toBe(false);
        fastest = Math.min(fastest, performance.now() - start);
      }
      return fastest;
    };
    // 300 times the memory: a check that hashes nothing would take the same time for both.
    expect(await fastestOf(defaultPasswordHashing)).toBeGreaterThan(10 * (await fastestOf(config.passwordHashing)));
  });
});
