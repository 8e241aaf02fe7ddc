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
  it("takes an unknown user as long as a wrong password", async () => {
    const slow = { ...config, passwordHashing: defaultPasswordHashing };
    const hash = await hashPassword("right", slow, systemRandom);
    const fastestOf = async (stored: string | null): Promise<number> => {
      let fastest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 7; i += 1) {
        const start = performance.now();
        await expect(verifyPassword("wrong", stored, slow)).resolves.toBe(false);
        fastest = Math.min(fastest, performance.now() - start);
      }
      return fastest;
    };
    const ratio = (await fastestOf(null)) / (await fastestOf(hash));
    expect(ratio).toBeGreaterThan(0.5);
    expect(ratio).toBeLessThan(2);
  });
});
