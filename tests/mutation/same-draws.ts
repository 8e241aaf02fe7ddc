/** Set up before the tests of a mutant: what fast-check draws is the same in each run, so that no mutant survives by luck. */
import fc from "fast-check";

fc.configureGlobal({ seed: 1 });
