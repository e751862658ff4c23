// How much of each fault matrix is played: DR_FAULT_ROUND=short plays each step once (continuous
// integration), anything else plays all of it.
export const IS_SHORT = process.env['DR_FAULT_ROUND'] === 'short';
