import Argon2 from "@phi-ag/argon2";
import wasm from "@phi-ag/argon2/argon2.wasm";
import type { RandomSource } from "../../shared/clock.ts";
import type { Config } from "../../shared/env.ts";
import { errors } from "../../shared/errors.ts";

/** Longest password, in characters. Bounds the work of hashing. */
const maxPasswordLength = 512;

const saltBytes = 16;

let instance: Promise<Argon2> | null = null;

function argon2(): Promise<Argon2> {
  // Compiled by the platform, instantiated once for the isolate: 19 MiB of memory that all its actors share.
  instance ??= WebAssembly.instantiate(wasm).then((created) => new Argon2(created));
  return instance;
}

/**
 * Checks a new password.
 * @throws MatrixError M_WEAK_PASSWORD, M_INVALID_PARAM
 * @see https://spec.matrix.org/v1.19/client-server-api/#password-management
 */
export function assertAcceptablePassword(password: string): void {
  if (!password.isWellFormed()) throw errors.invalidParam("The password is not valid Unicode");
  if (password.length > maxPasswordLength) {
    throw errors.invalidParam(`The password may have at most ${maxPasswordLength} characters`);
  }
  // How strong it should be is for the client to say: "Clients SHOULD enforce that the password … is suitably complex."
  if (password === "") throw errors.weakPassword("The password must not be empty");
}

/** Hashes a password with Argon2id, as a PHC string that holds cost and salt. */
export async function hashPassword(password: string, config: Config, random: RandomSource): Promise<string> {
  const { memoryKib, passes } = config.passwordHashing;
  const salt = random.bytes(saltBytes);
  const options = { salt, timeCost: passes, memoryCost: memoryKib, parallelism: 1 };
  return (await argon2()).hash(padded(password), options).encoded;
}

/**
 * Whether a password matches a PHC string. Takes as long when there is none (`hash` null): who asks cannot tell an
 * unknown user from a wrong password.
 */
export async function verifyPassword(password: string, hash: string | null, config: Config): Promise<boolean> {
  const isTooLong = password.length > maxPasswordLength || !password.isWellFormed();
  if (hash === null || isTooLong) {
    await hashPassword("", config, { bytes: (length) => new Uint8Array(length) });
    return false;
  }
  return (await argon2()).tryVerify(hash, padded(password)).success;
}

/**
 * The library hands Argon2 as many bytes as the string has UTF-16 units, and so would cut a password off that is not
 * ASCII. Padding at the end, which is not read, makes the two numbers equal.
 */
function padded(password: string): string {
  const bytes = new TextEncoder().encode(password).length;
  return password + "\0".repeat(bytes - password.length);
}
