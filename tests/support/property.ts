/**
 * fast-check, which draws the same in each run: a test that turns red says something of the change, and no planted fault
 * survives by luck. `TEST_SEED` draws anew: any number.
 */
import fc from "fast-check";

export const seed = Number(process.env.TEST_SEED ?? 1);

fc.configureGlobal({ seed });

export { fc };
