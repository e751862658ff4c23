// Door of verification.
export * from './verify.ts';
