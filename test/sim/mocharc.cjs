// The simulation by itself, for scripts/suite.
module.exports = { ...require("../../.mocharc.cjs"), spec: ["test/sim/**/*.test.ts"] };
