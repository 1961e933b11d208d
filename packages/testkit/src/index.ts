export { createSimulatedClock } from "./clock.js";
export type { SimulatedClock, SimulatedClockOptions } from "./clock.js";
export { createSeededRandom } from "./random.js";
export type { SeededRandom } from "./random.js";
