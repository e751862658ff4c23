// How much of each fault matrix is played: DR_FAULT_ROUND=short plays each step once (continuous
// integration), anything else plays all of it.
export const IS_SHORT = process.env['DR_FAULT_ROUND'] === 'short';
/** Kills of one broker in a row; DR_FAULT_KILLS for a round of another length. */
export const KILLS = Number(process.env['DR_FAULT_KILLS'] ?? (IS_SHORT ? 3 : 200));
