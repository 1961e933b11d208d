// Mocha's spec reporter plus one closing line that other tools can read: "N passed, N failed".
"use strict";
const { reporters } = require("mocha");

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const skipped = [];
    runner.on("pending", (test) => skipped.push(test.fullTitle()));
    runner.once("end", () => {
      const { passes, failures, pending } = this.stats;
      for (const title of skipped) process.stdout.write(`skipped: ${title}\n`);
      const tail = pending > 0 ? `, ${pending} skipped` : "";
      process.on("exit", () =>
        process.stdout.write(`${passes} passed, ${failures} failed${tail}\n`),
      );
    });
  }
};
